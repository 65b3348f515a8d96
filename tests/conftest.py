"""Being here puts this folder on the import path, so that tests can say ``from fakes import FakeLabeler``."""
