"""GPUs and CPU: finding, leasing and measuring them."""
