"""A small shop, as any team would write one: nothing in here knows Coalmine."""
