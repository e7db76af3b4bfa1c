"""Load tests: locust users that behave like the four kinds of caller, and a runner that starts the server they need."""
