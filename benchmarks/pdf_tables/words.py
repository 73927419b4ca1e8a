"""The words and figures that generated tables and pages are made of."""

from __future__ import annotations

import random

LABELS = [
    "Revenue", "Cost of sales", "Gross profit", "Selling, general and administrative expenses", "Operating income",
    "Interest expense", "Income tax expense", "Net earnings", "Cash and cash equivalents", "Receivables, net",
    "Merchandise inventories", "Other current assets", "Property and equipment, net", "Goodwill", "Intangible assets",
    "Accounts payable", "Accrued liabilities", "Long-term debt", "Retained earnings", "Depreciation and amortization",
    "Stock-based compensation", "Deferred income taxes", "Repurchase of common stock", "Dividends paid",
    "Foreign currency translation adjustments", "Unearned revenue", "Research and development", "Restructuring charges",
    "Other, net", "Basic", "Diluted", "International", "Domestic", "Consumer health", "Services", "Card Member loans",
]  # fmt: skip
LONG_LABELS = [
    "Net earnings from continuing operations attributable to shareholders of the parent company",
    "Additions to property and equipment, net of non-cash capital expenditures of the period",
    "Effect of exchange rate changes on cash, cash equivalents and restricted cash of foreign subsidiaries",
    "Accumulated other comprehensive income, net of tax, related to unrealized gains on securities",
    "Reclassification of losses on cash flow hedges into earnings during the period, net of tax",
    "Weighted-average number of common shares outstanding, assuming full dilution",
]
TOTALS = ["Total current assets", "Total liabilities", "Total revenue", "Net income", "Total cash provided"]
SECTIONS = ["Assets", "Liabilities and equity", "Operating activities", "Investing activities", "Per share data:",
            "Balance sheet data", "Financing activities", "Changes in operating assets and liabilities:"]  # fmt: skip
TITLES = ["Consolidated Balance Sheets", "Consolidated Statements of Earnings", "Selected Financial Data",
          "Segment results", "Supplementary sales data", "Consolidated Statements of Cash Flows"]  # fmt: skip
PERIODS = ["Year ended December 31,", "Three Months Ended", "Fiscal Years Ended", "Twelve Months Ended June 30,"]
PLACES = ["Rotterdam", "Singapore", "Hamburg", "Antwerp", "Los Angeles", "Busan", "Felixstowe", "Valencia", "Piraeus"]
PEOPLE = ["Ana Ruiz", "John Becker", "Mei Tanaka", "Peter O'Neill", "Sara Lind", "Omar Haddad", "Ivy Cole", "Lars Holm"]
ROLES = ["Chief Executive Officer", "Director", "Harbour Master", "Vice President, Finance", "Engineer", "Secretary",
         "General Counsel"]  # fmt: skip
NOTES = [
    "The pump is inspected before each departure and replaced after two years.",
    "Applies to vessels above 120 metres only.",
    "Crane operators hold a licence of the second class.",
    "Measured at the eastern quay at low tide; readings vary by a few centimetres.",
    "Goods in transit are exempt unless they are unloaded.",
    "Not applicable.",
    "Renewed every year by the port authority after a survey of the hull.",
    "See the rules for dangerous goods.",
]
CHINESE = ["营业收入", "营业成本", "净利润", "货币资金", "应收账款", "存货", "固定资产", "短期借款", "未分配利润",
           "研发费用", "管理费用", "经营活动产生的现金流量净额", "投资收益"]  # fmt: skip
CHINESE_PROSE = (
    "本集团根据企业会计准则编制财务报表，并对存货和应收账款计提减值准备。"
    "港口吞吐量比上年有所增加，主要由于新泊位投入使用。"
)

_SUBJECTS = ["The company", "Our management", "The port authority", "Each segment", "The board", "Our largest customer",
             "The lease", "This decrease", "The valuation"]  # fmt: skip
_VERBS = ["recognises", "reviewed", "depends on", "was driven by", "includes", "may reduce", "is based on", "reports"]
_OBJECTS = ["revenue when control of the goods passes to the buyer", "higher freight rates in the second half",
            "the fair value of the reporting unit", "estimates that are uncertain by nature",
            "a decline of 3.2% in comparable sales", "costs of $46 million that relate to the closed terminal",
            "the timing of deliveries to international customers", "interest on loans that were repaid in 2021",
            "an allowance for credit losses", "changes in the mix of products between the two years"]  # fmt: skip
_ENDS = ["", " in all periods presented", ", as described in Note 4", " and, to a lesser extent, of the prior year",
         ", which we expect to continue", " under the terms of the agreement"]  # fmt: skip


def prose(rng: random.Random, sentences: int) -> str:
    pick = rng.choice
    return " ".join(f"{pick(_SUBJECTS)} {pick(_VERBS)} {pick(_OBJECTS)}{pick(_ENDS)}." for _ in range(sentences))


def amount(rng: random.Random, digits: int = 0, currency: str = "", negative: float = 0.15) -> str:
    """A figure as statements print it."""
    if rng.random() < 0.05:
        return f"{currency}—"
    value = rng.choice([rng.uniform(1, 99), rng.uniform(100, 999), rng.uniform(1000, 99_999)])
    text = f"{value:,.{digits}f}"
    return f"{currency}({text})" if rng.random() < negative else f"{currency}{text}"


def percent(rng: random.Random) -> str:
    value = f"{rng.uniform(0.1, 60):.1f}"
    return f"({value})%" if rng.random() < 0.25 else f"{value}%"
