"""What concerns this process and this machine only: identity, in-flight log, descriptors, signals."""
