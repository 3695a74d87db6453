-- The tables of the store, by kind of file. A line that begins with two dashes and a colon names the
-- kind and the version that its section leads to. A change appends a section and never touches an
-- older one: a new file runs all of its kind, a file of an earlier version those that it lacks.
-- PRAGMA user_version and meta.version both hold the version, so that a byte that was flipped in
-- the file's head is not taken for a newer program's work.

--: points 1
CREATE TABLE meta(version INTEGER NOT NULL);
INSERT INTO meta VALUES (0);
-- id 0 is no text
CREATE TABLE label(id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
-- kind: interval.h SERIES_KINDS
CREATE TABLE series(
	id INTEGER PRIMARY KEY, -- below 65536
	kind INTEGER NOT NULL, server INTEGER NOT NULL, label INTEGER NOT NULL,
	UNIQUE(kind, server, label)
);
-- time: its beginning, in seconds; covered_ms: how much of it was counted; users: roster.h
CREATE TABLE interval(time INTEGER PRIMARY KEY, covered_ms INTEGER NOT NULL, users BLOB);
-- id: time * 65536 + series. One number as the key of a plain table costs half of what a key of two
-- columns does, and new rows fall at the end. data: point.h
CREATE TABLE point(id INTEGER PRIMARY KEY, data BLOB NOT NULL);

--: rows 1
CREATE TABLE meta(version INTEGER NOT NULL);
INSERT INTO meta VALUES (0);
CREATE TABLE label(id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
-- NULL: not known. code and initiator are those of the close frame, cause is of an end without one.
CREATE TABLE connection(
	id INTEGER PRIMARY KEY,
	opened_ms INTEGER NOT NULL, closed_ms INTEGER NOT NULL,
	server INTEGER NOT NULL, channel INTEGER NOT NULL, user INTEGER NOT NULL,
	received INTEGER NOT NULL, sent INTEGER NOT NULL,
	bytes_received INTEGER NOT NULL, bytes_sent INTEGER NOT NULL,
	latency_count INTEGER, latency_avg_ns INTEGER, latency_max_ns INTEGER,
	code INTEGER, initiator INTEGER, cause INTEGER,
	violation INTEGER NOT NULL, error INTEGER NOT NULL, resync INTEGER NOT NULL
);
CREATE TABLE error(
	id INTEGER PRIMARY KEY,
	at_ms INTEGER NOT NULL, type INTEGER NOT NULL,
	server INTEGER NOT NULL, channel INTEGER NOT NULL, user INTEGER NOT NULL,
	code INTEGER, initiator INTEGER, cause INTEGER, status INTEGER,
	message TEXT NOT NULL
);

--: events 1
CREATE TABLE meta(version INTEGER NOT NULL);
INSERT INTO meta VALUES (0);
CREATE TABLE event(
	id INTEGER PRIMARY KEY,
	at_ms INTEGER NOT NULL, kind INTEGER NOT NULL, server TEXT NOT NULL, text TEXT NOT NULL
);
CREATE INDEX event_at ON event(at_ms);
