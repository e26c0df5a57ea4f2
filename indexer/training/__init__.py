"""Train contrastively on films with reports or labels (`filmroom adapt`), and make the bundled model."""
