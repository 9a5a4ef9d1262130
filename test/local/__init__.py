"""Against the local emulator."""
