"""Evidence: the log as one ordered sequence of entries, and what is made from it: anchors and archives.

One noun per file: `entry` (what is proven), `log` (reading entries in the order in which they are sealed), `merkle`
(the tree over them), `keys` (that sign what goes outside), `heads` (signed tree heads), `anchors` (sealing), `proof`
(of one entry), `archive` (segments outside the database).
"""
