"""What is true about Halden Instruments, a company that does not exist. Every file of the corpus draws on this."""

from dataclasses import dataclass
from datetime import date, timedelta

COMPANY = "Halden Instruments AS"
COMPANY_ZH = "哈尔登仪器"
MAIL_DOMAIN = "halden-instruments.example"
CEO, CFO, SERVICE_HEAD, SALES = "Ingrid Solheim", "Tomas Aker", "Dario Fenn", "Elin Marstrand"
YEARS = (2023, 2024, 2025)


@dataclass(frozen=True)
class Product:
    code: str
    kind: str
    principle: str
    accuracy: str
    span: str
    power_w: float
    price_eur: int


PRODUCTS = (
    Product("TG-400", "Radar tide gauge", "80 GHz radar", "± 2 mm", "0.3 – 30 m", 1.6, 4_850),
    Product("TG-200", "Float tide gauge", "Float, shaft encoder", "± 5 mm", "0 – 15 m", 0.4, 2_190),
    Product("PX-50", "Pressure gauge", "Quartz pressure cell", "± 4 mm", "0 – 50 m", 0.2, 3_260),
    Product("HL-9", "Data logger", "4 channels, LTE", "n/a", "n/a", 0.9, 1_480),
)
ACCESSORIES = (
    ("MA-2", "Mounting arm, stainless steel", 290),
    ("SP-1", "Surge protector, RS-485", 175),
    ("CV-1", "Calibration visit, one station", 980),
    ("HV-Y", "HarborView subscription, one station, one year", 360),
)

# EUR thousand, for YEARS
REVENUE = {
    "Radar gauges": (8_420, 10_155, 12_930),
    "Pressure and float gauges": (5_310, 5_075, 5_640),
    "Data loggers": (2_260, 2_480, 2_715),
    "HarborView subscriptions": (940, 1_610, 2_485),
    "Service and calibration": (3_120, 3_345, 3_590),
}
TOTAL_REVENUE = tuple(map(sum, zip(*REVENUE.values(), strict=True)))
OPERATING_COSTS = (18_145, 20_255, 23_640)
OPERATING_PROFIT = tuple(r - c for r, c in zip(TOTAL_REVENUE, OPERATING_COSTS, strict=True))

# Units shipped in 2025, Q1 to Q4
SHIPMENTS = {
    "Nordics": (112, 118, 131, 127),
    "Western Europe": (164, 171, 159, 188),
    "North America": (97, 104, 126, 133),
    "East Asia": (141, 152, 149, 176),
    "Oceania": (38, 41, 45, 52),
}
SHIPPED_BY_QUARTER = tuple(map(sum, zip(*SHIPMENTS.values(), strict=True)))
SHIPPED = sum(SHIPPED_BY_QUARTER)

SURGE_TONES_HZ = (880, 660)
SURGE_ALERT_M = 3.10
CLEARANCE_M = 1.5
SERVICE_EXTENSION = "4471"
TEMPERATURE_C = (-40, 65)
CONNECTED_STATIONS = (640, 905, 1_312)  # on HarborView at the end of each of YEARS

# TG-400 maintenance: task, interval in months, minutes on site, tool
MAINTENANCE = (
    ("Clean the antenna window", 6, 15, "Soft cloth, fresh water"),
    ("Update the firmware", 6, 20, "Laptop, USB-C cable"),
    ("Check the zero point", 12, 45, "Steel tape, class I"),
    ("Replace the desiccant", 12, 10, "Torx T20"),
    ("Replace the backup battery", 36, 25, "Battery kit BK-7"),
)

# HL-9 error codes: code, lamp, meaning, remedy
ERROR_CODES = (
    ("E01", "1 red blink", "No signal from the gauge", "Check the RS-485 cable and the 12 V supply."),
    ("E02", "2 red blinks", "Memory card full", "Download the data, then hold MENU for 5 seconds."),
    ("E03", "3 red blinks", "Clock not synchronised", "Give the antenna a free view of the sky for 10 minutes."),
    ("E04", "4 red blinks", "Supply voltage below 10.8 V", "Charge or replace the battery."),
    ("E05", "5 red blinks", "Humidity in the housing above 70 %", "Replace the desiccant and the lid gasket."),
    ("E06", "6 red blinks", "SIM card rejected", "Enter the PIN again; after three failures call the service desk."),
)

# HarborView releases: release, month, main feature
ROADMAP = (
    ("5.0", "February 2025", "Surge alerts by text message"),
    ("5.1", "June 2025", "Offline maps for field crews"),
    ("5.2", "October 2025", "Export to NetCDF"),
    ("6.0", "March 2026", "Forecasts from the last 72 hours"),
)

# Order PO-7718: item, units, unit price in EUR
ORDER_LINES = (("TG-400", 6, 4_850), ("HL-9", 6, 1_480), ("MA-2", 6, 290), ("CV-1", 1, 980))
ORDER_DISCOUNT_PERCENT = 8
ORDER_GROSS = sum(units * price for _, units, price in ORDER_LINES)
ORDER_NET = ORDER_GROSS * (100 - ORDER_DISCOUNT_PERCENT) / 100

# The scanned certificate: reference level in m, reading in m
CERTIFICATE_NO, CERTIFICATE_SERIAL = "HC-2025-0731", "40-11873"
CERTIFICATE_POINTS = ((1.0, 1.0008), (5.0, 5.0011), (10.0, 9.9994), (20.0, 20.0013))


@dataclass(frozen=True)
class Station:
    code: str
    name: str
    country: str
    model: str
    installed: date
    datum_offset_m: float


_PLACES = {
    "Norway": "Kelsund Skarvik Torsnes Ulvhamn Brattholm Lyngstad Eidkroken Havnes Stokkvik Grimsund",
    "France": "Port-Lannec Kervadec Saint-Brelan Tremazec Le-Goulvan",
    "Ireland": "Ballyrone Carrigmore Dunlavin-Quay Inishgarve",
    "Canada": "Cape-Arden Mercer-Inlet Tofton Whale-Harbour Port-Ellery",
    "United States": "Alder-Point Camden-Spit Neah-Landing Willow-Bar Osprey-Cove",
    "China": "Beilan Dongjiao Qingtan-East Meiwan Zhujia",
    "Australia": "Bruny-Point Southgate Cape-Merrin",
    "New Zealand": "Waitoru Motukawa Riverton-Mole",
}
_MODELS = ("TG-400", "TG-400", "PX-50", "TG-200")


def stations() -> list[Station]:
    """The reference network: 40 stations, installed from 2023 on, 26 days apart."""
    places = [(name.replace("-", " "), country) for country, names in _PLACES.items() for name in names.split()]
    return [
        Station(
            code=f"HS-{number:02d}",
            name=name,
            country=country,
            model=_MODELS[number % 7 % 4],
            installed=date(2023, 1, 16) + timedelta(days=(number * 17 % 40) * 26),
            datum_offset_m=round(0.8 + (number * 37 % 211) / 100, 2),
        )
        for number, (name, country) in enumerate(places, start=1)
    ]


STATIONS = {station.code: station for station in stations()}
SHOWN_STATION = STATIONS["HS-08"]  # in the photograph of the report and on the dashboard


def stations_with(model: str) -> int:
    return sum(station.model == model for station in STATIONS.values())


def product(code: str) -> Product:
    return next(item for item in PRODUCTS if item.code == code)
