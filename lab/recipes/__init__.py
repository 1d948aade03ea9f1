"""What the lab can build, one module for each kind of thing."""
