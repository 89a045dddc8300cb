"""A vendor that is connected by OAuth, for tests alone: its connector, and a stand-in that takes theft seriously."""
