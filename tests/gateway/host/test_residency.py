"""A gateway serves the integrations of its regions only."""

from tests.support.caller import RunningGateway, on_board


def test_an_integration_of_another_region_is_not_served(settings) -> None:
    """One that is there already, as after a restore, is refused like a stranger; those of the listed regions go on."""
    with RunningGateway(settings.model_copy(update={"regions": "EU"})) as gateway:
        here, elsewhere = on_board(gateway), on_board(gateway, "brand-9", "US", "other_studio")
        for caller, status in ((here, 404), (elsewhere, 401)):
            reply = caller.send("GET", "/v1/players/nobody/wallets/EUR")
            assert reply.status == status, reply
