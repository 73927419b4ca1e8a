"""The files that are text: a support page, a runbook, a station list, a memo, a mail, a page in Chinese."""

import base64
import csv
import io
import json
from email.message import EmailMessage

from . import facts, media, office


def support_page() -> bytes:
    """Error codes of the HL-9, with a table and an inline picture (HTML)."""
    icon = base64.b64encode(media.lamp_icon()).decode()
    rows = "\n".join(
        "      <tr>" + "".join(f"<td>{cell}</td>" for cell in codes) + "</tr>" for codes in facts.ERROR_CODES
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>HL-9: error codes</title></head>
<body>
  <nav><a href="index.html">Support</a> | <a href="hl-9.html">HL-9</a></nav>
  <main>
    <h1>HL-9: error codes</h1>
    <p><img alt="Red status lamp" width="32" height="32" src="data:image/png;base64,{icon}">
    When something is wrong, the status lamp blinks red, pauses for two seconds and begins again.</p>
    <table>
      <tr><th>Code</th><th>Lamp</th><th>Meaning</th><th>What to do</th></tr>
{rows}
    </table>
    <h2>Factory reset</h2>
    <p>Hold MENU and ENTER together for 12 seconds. The measured values stay on the card; the network settings are
    lost. The PIN returns to 0914.</p>
    <h2>Still no luck?</h2>
    <p>The service desk answers from 06:00 to 22:00 UTC, extension {facts.SERVICE_EXTENSION}. Keep the serial number
    at hand; it is engraved under the lid.</p>
  </main>
</body>
</html>
""".encode()


def runbook() -> bytes:
    """What the engineer on duty does when data stop arriving (Markdown)."""
    return f"""# Runbook: HarborView receives no data

Owner: platform team. Last drill: 3 September 2025.

## When this applies

The alert `ingest-silent` fires when more than 5 % of the {facts.CONNECTED_STATIONS[2]:,} stations have sent nothing for
20 minutes. A single silent station is a matter for the service desk (extension {facts.SERVICE_EXTENSION}), not for you.

## First ten minutes

1. Open the status page and note the time of the last message.
2. Check the queue: `hv queue depth --name telemetry`. A healthy queue holds fewer than 3,000 messages.
3. If the queue grows, restart the consumers one at a time: `hv consumer restart --rolling`.
4. If the queue is empty, the fault lies before us. Call the mobile operator and give the contract number MB-60417.

## Escalation

| After | Call | Decides on |
|---|---|---|
| 15 minutes | Second engineer on duty | Switching to the standby site in Bergen |
| 45 minutes | {facts.SERVICE_HEAD}, head of service | Telling the customers |
| 2 hours | {facts.CEO}, chief executive | Telling the coast guard |

## Afterwards

Loggers keep their values and send them later, so nothing is lost. Do not replay the queue by hand: the outage of
19 May 2025 lasted 3 hours longer than it had to, because a replay filled the disk of the database.
""".encode()


def station_list() -> bytes:
    """The reference network (CSV)."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["station", "name", "country", "model", "installed", "datum_offset_m"])
    for one in facts.STATIONS.values():
        writer.writerow([one.code, one.name, one.country, one.model, one.installed, f"{one.datum_offset_m:.2f}"])
    return out.getvalue().encode()


def board_memo() -> bytes:
    """The supply of antennas, for the board only; its sidecar says so (plain text)."""
    return f"""MEMO TO THE BOARD

From: {facts.CFO}, chief financial officer
Date: 31 March 2025
Subject: Antennas for the TG-400

Our only supplier of antennas delivered six weeks late in February and again in
March. The first quarter still closed with {facts.SHIPPED_BY_QUARTER[0]} instruments shipped, against a plan
of 540, because we emptied the store.

Proposal
  1. Take Lumen Antennas as a second supplier from May on. The part costs
     EUR 214 instead of EUR 197.
  2. Raise the safety stock from 4 to 10 weeks. This ties up EUR 265,000.
  3. Do not raise the price of the TG-400 this year. It stays at EUR {facts.product("TG-400").price_eur:,}.

The board is asked to decide on 8 April 2025.
""".encode()


def board_memo_sidecar() -> bytes:
    return (json.dumps({"tags": ["finance"], "date": "2025-03-31", "groups": ["board"]}) + "\n").encode()


def order_mail() -> bytes:
    """An order confirmation: plain and HTML text with the delivery, a workbook with the money (EML)."""
    lines = (
        "Dear Jonas Brekke,",
        "thank you for your order PO-7718. Six radar gauges with loggers and mounting arms leave our workshop on "
        "6 October and reach Pier 4 of the Port of Kelsund on 9 October 2025 with the coaster Marit. Please have a "
        "crane for 400 kg ready at 07:30.",
        "Prices, discount and terms of payment are in the attached workbook.",
        f"Kind regards, {facts.SALES}, {facts.COMPANY}",
    )
    mail = EmailMessage()
    mail["From"] = f"{facts.SALES} <elin.marstrand@{facts.MAIL_DOMAIN}>"
    mail["To"] = "Jonas Brekke <jonas.brekke@port-of-kelsund.example>"
    mail["Subject"] = "Confirmation of your order PO-7718"
    mail["Date"] = "Tue, 16 Sep 2025 10:12:00 +0200"
    mail["Message-ID"] = f"<po-7718.20250916@{facts.MAIL_DOMAIN}>"
    mail.set_content("\n\n".join(lines) + "\n")
    mail.add_alternative("<html><body>" + "".join(f"<p>{line}</p>\n" for line in lines) + "</body></html>", "html")
    mail.add_attachment(
        office.order_workbook(),
        maintype="application",
        subtype="vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        filename="order-PO-7718.xlsx",
    )
    mail.set_boundary("=_halden_mixed")
    next(mail.iter_parts()).set_boundary("=_halden_alternative")
    return mail.as_bytes()


def chinese_product_page() -> bytes:
    """The TG-400 for readers in China; price, warranty and service stand nowhere else (Markdown)."""
    low, high = facts.TEMPERATURE_C
    gauge = facts.product("TG-400")
    return f"""# TG-400 雷达验潮仪产品说明

{facts.COMPANY_ZH}（Halden Instruments）· 中国区版本 · 2025年10月

## 产品简介

TG-400 是一款非接触式雷达验潮仪，采用 80 GHz 雷达，从水面上方测量潮位，不需要验潮井，也不需要潜水员。
仪器适用于港口、航道、水库和海上平台。

## 技术参数

| 项目 | 数值 |
|---|---|
| 测量精度 | {gauge.accuracy} |
| 测量范围 | {gauge.span} |
| 功耗 | {gauge.power_w} W |
| 工作温度 | {low} °C 至 +{high} °C |
| 防护等级 | IP68 |
| 通信接口 | RS-485 |

## 价格与交货

中国区含税价格为每台人民币 45,800 元，交货期为六周。一次订购十台以上，可享受百分之五的折扣。

## 保修与服务

仪器的保修期为三十六个月，自验收之日起计算。宁波服务中心负责东亚地区的维修，主任为沈若兰，
工作时间为周一至周五 8:30 至 17:30。送修的仪器一般在九个工作日内寄回。

## 应用案例

2025年8月台风期间，Meiwan 站（HS-33）的 TG-400 连续工作，记录到最高潮位 5.16 米，数据完整率为 99.8%。
""".encode()
