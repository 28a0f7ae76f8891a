"""What there is to compute on."""
