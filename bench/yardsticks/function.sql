-- Yardstick 2: one call per bet.
\set player random(1, :wallets)
\set bet random(1, 9000000000000000000)
select wagerledger.yardstick_bet('p_' || :player, md5(:bet::text), :body_bytes, :answer_bytes, :outcome_bytes);
