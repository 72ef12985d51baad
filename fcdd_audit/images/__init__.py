"""Images as they are stored: decoded, cached, paired."""
