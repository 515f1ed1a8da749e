"""A deployment folds only what it may hold."""

from prometheus_client import REGISTRY

from projector.replay import WAITING, inspect, replay
from tests.support.random_ledger import Ledger
from tests.support.read_models import ReadModels


def test_an_event_of_another_region_parks_its_stream_until_it_may_be_held(settings, publisher):
    """What may not be held here is buried with the region and setting named, its stream is parked and counted as such; nobody else's is touched; and once the region is allowed, a replay folds it."""
    ledger = Ledger()
    ledger.play("anna", bets=2)
    publisher.publish(ledger.recorded)
    elsewhere = ReadModels(settings.model_copy(update={"regions": "br, us"}))
    elsewhere.catch_up()
    assert elsewhere.query("select count(*) from bi.balances") == [(0,)]
    assert [row[0::2] for row in elsewhere.parked()] == [("anna", "undecodable")]
    assert REGISTRY.get_sample_value("wagerledger_projector_parked_streams") == 1
    letters = inspect(elsewhere.settings)
    assert len(letters) == len(ledger.recorded)
    assert all("region 'eu'" in one.letter.reason and "br, us" in one.letter.reason for one in letters)
    here = ReadModels(settings.model_copy(update={"regions": "eu,br"}))
    assert {one.state for one in inspect(here.settings)} == {WAITING}
    replay(here.settings)
    here.must_equal(ledger)
    assert here.parked() == []
