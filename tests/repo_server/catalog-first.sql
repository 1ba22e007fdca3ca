PRAGMA user_version = 2;
BEGIN TRANSACTION;
CREATE TABLE chunks (
	id INTEGER NOT NULL, 
	"group" VARCHAR NOT NULL, 
	entries INTEGER NOT NULL, 
	PRIMARY KEY (id)
);
CREATE TABLE contents (
	sha256 VARCHAR NOT NULL, 
	source_sha256 VARCHAR NOT NULL, 
	family VARCHAR(3) NOT NULL, 
	name VARCHAR NOT NULL, 
	version VARCHAR NOT NULL, 
	architecture VARCHAR NOT NULL, 
	size INTEGER NOT NULL, 
	path VARCHAR NOT NULL, 
	PRIMARY KEY (sha256), 
	UNIQUE (source_sha256)
);
INSERT INTO "contents" VALUES('7e684e0606966d120194474aa7837bf0d737c6b452febd363d5f7b878f0ad1c7','7e684e0606966d120194474aa7837bf0d737c6b452febd363d5f7b878f0ad1c7','DEB','beta','1-1~deb12','all',5140,'pool/o/opkg-alpha/beta_1-1~deb12_all.deb');
CREATE TABLE entries (
	"group" VARCHAR NOT NULL, 
	"key" VARCHAR NOT NULL, 
	chunk INTEGER NOT NULL, 
	PRIMARY KEY ("group", "key"), 
	FOREIGN KEY(chunk) REFERENCES chunks (id)
);
CREATE TABLE fragments (
	sha256 VARCHAR NOT NULL, 
	kind VARCHAR NOT NULL, 
	text VARCHAR NOT NULL, 
	PRIMARY KEY (sha256, kind), 
	FOREIGN KEY(sha256) REFERENCES contents (sha256)
);
INSERT INTO "fragments" VALUES('7e684e0606966d120194474aa7837bf0d737c6b452febd363d5f7b878f0ad1c7','stanza','Package: beta
Source: opkg-alpha
Version: 1-1~deb12
Architecture: all
Maintainer: Some Body <some@body.example>
Description: A package for tests
 It holds one file.
 .
 And says so.
Filename: pool/o/opkg-alpha/beta_1-1~deb12_all.deb
Size: 5140
SHA256: 7e684e0606966d120194474aa7837bf0d737c6b452febd363d5f7b878f0ad1c7

');
CREATE TABLE generations (
	number INTEGER NOT NULL, 
	published VARCHAR NOT NULL, 
	renewed VARCHAR NOT NULL, 
	files VARCHAR NOT NULL, 
	PRIMARY KEY (number)
);
INSERT INTO "generations" VALUES(1,'2026-11-23T01:03:38+00:00','2026-11-23T01:03:38+00:00','');
CREATE TABLE offered_packages (
	target VARCHAR NOT NULL, 
	opkg VARCHAR NOT NULL, 
	opkg_version VARCHAR NOT NULL, 
	sha256 VARCHAR NOT NULL, 
	part VARCHAR(6), 
	PRIMARY KEY (target, opkg, opkg_version, sha256), 
	FOREIGN KEY(sha256) REFERENCES contents (sha256)
);
CREATE TABLE offers (
	id INTEGER NOT NULL, 
	channel VARCHAR NOT NULL, 
	target VARCHAR NOT NULL, 
	opkg VARCHAR NOT NULL, 
	version VARCHAR NOT NULL, 
	info VARCHAR NOT NULL, 
	since INTEGER, 
	until INTEGER, 
	leaving BOOLEAN NOT NULL, 
	PRIMARY KEY (id)
);
CREATE TABLE pieces (
	chunk INTEGER NOT NULL, 
	kind VARCHAR NOT NULL, 
	form VARCHAR NOT NULL, 
	data BLOB NOT NULL, 
	PRIMARY KEY (chunk, kind, form), 
	FOREIGN KEY(chunk) REFERENCES chunks (id)
);
CREATE TABLE placements (
	id INTEGER NOT NULL, 
	channel VARCHAR NOT NULL, 
	target VARCHAR NOT NULL, 
	sha256 VARCHAR NOT NULL, 
	since INTEGER, 
	until INTEGER, 
	leaving BOOLEAN NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(sha256) REFERENCES contents (sha256)
);
INSERT INTO "placements" VALUES(1,'testing','debian-12-x86_64','7e684e0606966d120194474aa7837bf0d737c6b452febd363d5f7b878f0ad1c7',NULL,NULL,0);
CREATE TABLE shelves (
	channel VARCHAR NOT NULL, 
	target VARCHAR NOT NULL, 
	PRIMARY KEY (channel, target)
);
CREATE INDEX ix_contents_name ON contents (name);
CREATE INDEX ix_contents_path ON contents (path);
CREATE INDEX ix_offers_opkg ON offers (opkg);
CREATE INDEX offers_leaving ON offers (leaving) WHERE leaving = 1;
CREATE INDEX ix_offers_since ON offers (since);
CREATE INDEX ix_offers_until ON offers (until);
CREATE INDEX ix_chunks_group ON chunks ("group");
CREATE INDEX ix_placements_since ON placements (since);
CREATE INDEX placements_leaving ON placements (leaving) WHERE leaving = 1;
CREATE INDEX ix_placements_until ON placements (until);
CREATE INDEX ix_placements_sha256 ON placements (sha256);
CREATE INDEX ix_offered_packages_sha256 ON offered_packages (sha256);
CREATE INDEX ix_entries_chunk ON entries (chunk);
COMMIT;
