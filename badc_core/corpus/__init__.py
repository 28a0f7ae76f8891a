"""All results of a dataset together: Parquet parts, a database over them, and reading them."""
