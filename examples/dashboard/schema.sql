CREATE TABLE IF NOT EXISTS users (
  id       TEXT PRIMARY KEY,
  login    TEXT NOT NULL UNIQUE,   -- lower case; other users find this user by it
  name     TEXT NOT NULL,          -- the name that other users see
  password TEXT NOT NULL,          -- written by Passwords.Hash
  created  INTEGER NOT NULL        -- Unix milliseconds, like all times here
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS friends (
  asker    TEXT NOT NULL REFERENCES users (id),
  asked    TEXT NOT NULL REFERENCES users (id),
  accepted INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (asker, asked),
  CHECK (asker <> asked)
) STRICT, WITHOUT ROWID;

-- At most one row per pair of users, whichever of the two sent the request.
CREATE UNIQUE INDEX IF NOT EXISTS friends_pair ON friends (min(asker, asked), max(asker, asked));
CREATE INDEX IF NOT EXISTS friends_asked ON friends (asked);

CREATE TABLE IF NOT EXISTS comments (
  id      INTEGER PRIMARY KEY,
  author  TEXT NOT NULL REFERENCES users (id),
  text    TEXT NOT NULL,
  created INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS comments_author ON comments (author, id);
