"""What a record says, as text for people: the tree of functions, the key values, where each came from."""
