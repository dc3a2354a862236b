"""Rows for the roster's tables of the published schema, beside those of any other subjects."""

ROSTER_ROWS = """
INSERT INTO caption_shards
  (shard, dataset, score_version, sha256, rows, rows_read, rows_kept, rows_naming, minimum_score, url_column, addresses)
VALUES ('part-0.parquet', 'laion-aesthetics-v2-6plus', 'v2', 'a', 100, 100, 90, 40, 6.0, 'URL', true),
       ('part-1.parquet', 'laion-aesthetics-v2-6plus', 'v2', 'b', 100, 100, 80, 30, 6.0, 'URL', true);
INSERT INTO artist_mentions
SELECT name, kind, mentions, 1, [{'shard': 'part-0.parquet', 'row': 3, 'url': 'https://example.org/3.jpg', 'caption': 'by ' || name}], '' FROM subjects WHERE mentions IS NOT NULL;
INSERT INTO artist_mentions VALUES ('C', 'artist', NULL, NULL, [], '''C'' is one letter, which captions are full of');
INSERT INTO artist_roster
SELECT subject, name, unnest(rosters), row_number() OVER (ORDER BY mentions DESC, name), mentions, 1, opted_out, '', 'a catalogue',
       subject = 'bo-dahl', 50, 10, if(subject = 'bo-dahl', 30, 0), 10, if(subject = 'bo-dahl', 0.75, 0), ['Bo Dahl tickets']
FROM subjects WHERE rosters IS NOT NULL;
INSERT INTO roster_attrition VALUES
  ('criteria', 'alive', false, 1, ['Old Master'], 11, ''), ('criteria', 'sells_work', true, 0, [], 11, 'skipped'),
  ('criteria', 'size', false, 1, ['Next One'], 10, ''), ('most_mentioned', 'size', false, 0, [], 10, '10 of the 250 asked for');
INSERT INTO controls
SELECT name, if(shares_name_parts, 'recombined_names', 'random_names'), kind, 'used', 'clean; 0 of 170 captions name it', 0, 170, 40,
       shares_name_parts, if(shares_name_parts, ['ana'], []), 2, 'Latin', NULL, '40.54.0', 'en_US', 7
FROM subjects WHERE kind = 'random_name';
INSERT INTO controls (name, pool, kind, status, why, mentions, captions)
VALUES ('Known Already', 'random_names', 'random_name', 'refused', '3 of 170 captions name it', 3, 170);
INSERT INTO mined_names VALUES
  ('Ana Lima', 'artist', 20, 15, 5, 0, 0.9, true, '', 40, 0.5, []),
  ('Zora Unlisted', NULL, 12, 12, 0, 0, 0.93, true, '', 30, 0.4, [{'shard': 'part-1.parquet', 'row': 8}]),
  ('Calvin Klein', NULL, 30, 0, 5, 25, 0.2, false, 'a brand', 90, 0.3, []);
"""
