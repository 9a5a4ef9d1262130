"""What a release promises, each kind of promise in a module of its own, as plain lines that can be compared."""
