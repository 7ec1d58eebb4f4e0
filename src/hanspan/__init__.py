"""hanspan: from raw Chinese text and a handful of rules to a measured, published model."""
