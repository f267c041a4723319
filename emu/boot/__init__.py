"""Boot: the catalogue of bootstrap functions, their observation, and the record of what they computed."""
