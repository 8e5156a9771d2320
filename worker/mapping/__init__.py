"""From a product of a shop to the jobs that it wants, as a file declares it. Pure but for reading files."""
