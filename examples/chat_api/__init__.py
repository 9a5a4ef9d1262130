"""An agent behind a REST API."""
