"""The keys of decision owners, of the Factory and of the gate."""
