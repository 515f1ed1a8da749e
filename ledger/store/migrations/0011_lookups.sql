-- Refusals, and commands that changed nothing, are found by the bet and the round that they name: for explanations only.

set local role wagerledger_owner; -- where all migrations run at once, the one before has only just made it

create index commands_asked_bet on wagerledger.commands (wagerledger.key_of('bet', scope, asked ->> 'bet_id')) where asked ->> 'bet_id' is not null;
create index commands_asked_round on wagerledger.commands (wagerledger.key_of('round', scope, asked ->> 'round_id')) where asked ->> 'round_id' is not null;
create index refusals_asked_bet on wagerledger.refusals (wagerledger.key_of('bet', scope, asked ->> 'bet_id')) where asked ->> 'bet_id' is not null;
create index refusals_asked_round on wagerledger.refusals (wagerledger.key_of('round', scope, asked ->> 'round_id')) where asked ->> 'round_id' is not null;
