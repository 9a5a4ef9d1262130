"""What `scripts.construct_pages` writes into docs/constructs, each kind of part in a module of its own."""
