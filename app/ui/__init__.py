"""The page in the browser and the server behind it: sessions, REST routes, the engine that makes masks."""
