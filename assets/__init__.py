"""What ships: the bundled model, the model registry, query sets and style."""
