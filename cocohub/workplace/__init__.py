"""The curators' workplace: pages of our own inside of the admin, which see all rooms of the house."""
