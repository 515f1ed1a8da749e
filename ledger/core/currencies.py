"""How many decimals currencies have. What is not known here has to be said: there is no default.

Of ISO 4217, list one ("current currency and funds code list") as its maintenance agency, SIX, published it on
2026-01-01.
Metals, units of account and test codes have no decimals there, and so none here.
"""

ISO_4217 = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW "
    "CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF "
    "IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK "
    "MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP "
    "SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG "
    "YER ZAR ZMW ZWG",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}

COINS = {6: "ADA TRX XRP", 7: "XLM", 8: "BCH BTC DASH DOGE LTC ZEC", 9: "SOL TON"}
"""Of coins whose protocol has one smallest unit that wallets and providers all count in."""

VARYING = "BNB BUSD DAI DOT ETC ETH EURC FDUSD LINK MATIC POL SHIB UNI USDC USDT WBTC XMR"
"""Currencies all the same; but their decimals differ between chains and providers, or are more than a wallet has."""

_DECIMALS = {code: places for listed in (ISO_4217, COINS) for places, codes in listed.items() for code in codes.split()}
_REAL = frozenset(_DECIMALS) | frozenset(VARYING.split()) | frozenset(["XAG", "XAU", "XDR", "XPD", "XPT"])


def decimals(currency: str) -> int | None:
    """None where they are not known, and have to be said."""
    return _DECIMALS.get(currency)


def is_real(code: str) -> bool:
    """Whether the world knows `code` as a currency of its own, and not as another name of one."""
    return code in _REAL
