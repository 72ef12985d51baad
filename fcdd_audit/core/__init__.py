"""What every part uses: errors, registries, random streams, shared memory, the recipe of a training."""
