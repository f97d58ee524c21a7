"""The lessons, and what sets up, builds and runs them (`python lessons --help`)."""
