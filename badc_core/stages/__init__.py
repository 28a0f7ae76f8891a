"""What is made from what: fingerprints of settings, code and inputs."""
