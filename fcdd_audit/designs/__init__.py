"""What an artifact's effect is compared with: twins, or a finished detector's own placebos."""
