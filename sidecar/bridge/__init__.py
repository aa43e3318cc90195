"""The HTTP bridge: attaches vectors to what is indexed, turns text searches into hybrid retrieval."""
