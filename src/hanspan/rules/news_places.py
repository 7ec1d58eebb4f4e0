"""LOC in one character: 中美, 访华, 抵京, 日媒; and places that touch (福建福州)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from hanspan.data import Document
from hanspan.rules import rule
from hanspan.rules.news_words import words

_PAIRS = (
    "中美|中俄|中日(?!报|益|常|期|本|电|前|后|均|夜|子)|中韩|中朝(?!鲜)|中欧(?!洲|盟|元)|中非(?!常|法|洲|但|凡|遗)|"
    "中英(?!文|语|国|雄|镑|超|勇)|中法(?!院|律|庭|官|定|治|国|规|人|兰)|中德(?!国|高|才|育|意|行|智|艺)|中印(?!发|度|尼|制|象|刷|证)|"
    "中巴(?!车|士|西|黎|基)|中蒙(?!古|牛)|中越(?!来|发|南|是|野)|中老(?!年|人|百|板|师|一|旧|挝|胡)|中柬(?!埔)|中缅(?!怀|甸)|"
    "中泰(?!国|州|证|山)|中澳(?!大)|中古(?=两|关|友|双|合)|中哈(?!萨|尔)|中吉(?=两|关|友|双|合|乌)|中塔(?=两|关|友|双|合)|中匈(?!牙)|"
    "中塞(?=两|关|友|双|合)|中意(?=两|关|友|双|合|建|贸|企)|中希(?=两|关|友|双|合)|中以(?=两|关|友|双|合|建)|"
    "中阿(?=两|关|友|双|合|峰|论|经|博)|中拉(?=两|关|友|双|合|论|经)|中新(?=两|关|友|双|合|自)|中菲(?!律)|中马(?=两|关|友|双|合)|"
    "中尼(?=两|关|友|双|合|边)|中斯(?=两|关|友|双|合)|中乌(?=两|关|友|双|合)|中土(?=两|关|友|双|合)|中沙(?=两|关|友|双|合)|"
    "中伊(?=两|关|友|双|合)|中瑞(?=两|关|友|双|合|自)|中波(?=两|关|友|双|合)|中捷(?=两|关|友|双|合)|中葡(?!萄)|中荷(?!兰)|"
    "中丹(?=两|关|友|双|合)|中墨(?=两|关|友|双|合)|中秘(?=两|关|友|双|合)|中智(?=两|关|友|双|合)|中加(?=两|关|友|双|合作|建|自)|"
    "美俄|美日(?!报|本)|美韩(?!国)|美朝(?!鲜)|美欧(?!洲)|美伊(?!拉|朗)|美英|美中(?!央|部)|美台(?!湾)|俄美(?!国)|俄乌(?!克)|俄中|"
    "俄欧|俄日|俄印|俄白(?!俄)|俄朝(?!鲜)|日韩(?!剧|国)|日美(?!国)|日俄(?!罗)|日朝(?!鲜)|日中(?!午|国)|韩美(?!国)|韩日(?!本)|"
    "韩中(?!国)|韩朝(?!鲜)|朝韩(?!国)|朝美(?!国)|朝俄|印巴(?!基)|巴印(?=两|边)|[德法英意](?=中(?:文化|关系|两国|友好|经贸|合作))中|巴以(?!色|及|来|后)|以巴(?!勒|新|基|西|黎)|黎以(?!色|及)|伊以(?!色|及)|"
    "英美(?!国)|法德(?!国)|德法(?!国|律)|英法(?!国|律)|英德(?!国|市)|沪苏|沪浙|苏浙|川渝|沪宁|京津(?!冀)|京沪(?!高|铁)|京津(?=两)|"
    "粤港(?!澳)|粤澳|港澳(?=两|同|地)|闽台|鄂豫皖|陕甘宁|云贵川|苏浙沪|沪苏浙|浙沪|"
    "中[芬挪丹冰瑞奥匈捷波罗保塞克希土以埃阿叙约黎伊沙科巴卡尼斯孟马菲新文哈吉乌塔格俄白拉立爱意西葡荷比卢墨智秘委哥厄玻加"
    "澳斐汤萨津赞坦肯苏安刚]"
    "(?=友好|两国|关系|双方|经贸|建交|合作|人民|双边|贸易|边境|元首|领导人|传统|战略|全面|自贸|青年|人文|务实|民间|企业家)"
)
_PAIR = re.compile(_PAIRS)
_NOT_BEFORE_PAIR = frozenset("其当集高初年月心空途之程手水掌眼市工华国家从人发民")
_RUN = re.compile("[中美俄日韩朝英法德印澳欧]{3,5}(?![国洲文语军])")
_WORDS_IN_RUN = re.compile(
    "中国|美国|日本|英国|法国|德国|韩国|朝鲜|印度|欧美|中日报|中英文|法中|欧洲"
)
# What goes on after a place of one character that a verb of going stands before.
_GOES_ON = "，。、；的进访出参举召会与和开实采发表加施活务工投地时期旅留学谈打演签巡视考"
_ONE = re.compile(
    "(?:访|抵|驻|来|在|对|赴|离|侵|援|反|涉|旅|留|返|回|遏|亲|仇|助)(?P<a>华)(?!人|侨|为|润|夏|盛|裔|北|东|南|中|西|沙|尔|山|丽|语|而|灯|诞|强|文)|"
    "(?:访|抵|赴|离|驻|对|涉|在|入|飞)(?P<b>京|沪|港|澳|台|美|日|韩|俄|欧|朝|英|疆|藏|鄂|汉|穗)(?!国|洲|元|湾|本|罗|鲜|上|下|阶|元|大|门|媒|商|股|剧|口|子|前|后|常|均|内|式|化|好|丽|味|面|甲|镑|盟|语|文|雄|方|独|球|海|账|词|式|族|区|珠|企)"
    f"(?=[{_GOES_ON}对关军制经贸政抗支医队居同人核演援防制威部商战外“]|$)|"
    "(?P<d>[美俄日韩英法德印朝以乌伊叙黎土意澳泰越菲柬缅蒙匈希埃])(?=总统|总理|首相|副总统|副总理|外长|防长|财长|副外长|外相|"
    "国防部长|外交部长|国务卿|副国务卿|国会议员|议长|驻华大使|财政部长|国家安全顾问)|"
    f"(?P<e>(?<=来)(?:京|沪|港|鄂|疆|藏))(?=[{_GOES_ON}组]|$)|"
    "(?P<c>美|俄|日|韩|英|德|法|印|朝|台|港|乌|以(?!企))(?=媒(?!体)|企|制(?=武|导|战|坦|装|系|火|反)|将(?=领|官|军|[\u4e00-\u9fff]{0,4}阵亡))"
)
_PROVINCES = "京津沪渝冀晋辽吉黑苏浙皖闽赣鲁豫鄂湘粤桂琼川蜀黔滇陕甘青宁新蒙藏疆港澳台"
_LIST = re.compile(
    rf"(?<![\u4e00-\u9fff、])[{_PROVINCES}](?:、[{_PROVINCES}])+(?=[，。；）等]|$)|"
    rf"(?<![北新西香、])[{_PROVINCES}](?:、[{_PROVINCES}]){{2,}}(?=[，。；）等]|$)"
)
_RELATION = re.compile("关系|两国|全面|战略|友好|双边|双方|合作|建交|贸易|经贸|元首|领导人|边境")
_FREE = frozenset("与和对向据由被称见邀晤访是会")
_BAD_LEFT = frozenset("欧今昨明每当同近平节假完优审唯赞壮华精最更香时生次连半")


def _clear(text: str, start: int) -> bool:
    return not start or text[start - 1] not in _NOT_BEFORE_PAIR


@rule("country_letters", labels=["LOC"], group="place_letters", weight=0.9,
      yes=["[[中]][[蒙]]关系必将", "[[美]][[日]][[韩]]还将演习",
           "转战[[赣]]、[[粤]]、[[闽]]、[[湘]]，"],
      no=["其中美国", "中法院", "红、白、黑、青，", "京、津、沪、新疆"])  # fmt: skip
def country_letters(document: Document) -> Iterator[tuple[int, int]]:
    """Pairs, runs and lists of characters that stand for places, each on its own."""
    text = document.text
    for match in _RUN.finditer(text):
        if _clear(text, match.start()) and not _WORDS_IN_RUN.search(match[0]):
            for at in range(*match.span()):
                yield at, at + 1
    for match in _LIST.finditer(text):
        for at in range(match.start(), match.end(), 2):
            yield at, at + 1
    for match in _PAIR.finditer(text):
        if not (_clear(text, match.start()) or _RELATION.match(text, match.end())):
            continue
        for at in range(*match.span()):
            yield at, at + 1


@rule("country_letter", labels=["LOC"], group="place_letters", weight=0.9,
      yes=["，[[俄]]总统普京", "总统访[[华]]。", "医疗队抵[[京]]，", "[[日]]媒报道"],
      no=["来华为公司", "今日媒体"])  # fmt: skip
def country_letter(document: Document) -> Iterator[tuple[int, int]]:
    """One character for a place after 访, 抵, 驻 ... or before 媒, 企, 制."""
    text = document.text
    for match in _ONE.finditer(text):
        group = match.lastgroup or "a"
        start, end = match.span(group)
        if group == "c" and start and text[start - 1] in _BAD_LEFT:
            continue
        if group == "d" and start and text[start - 1].isalpha() and text[start - 1] not in _FREE:
            continue
        yield start, end


_NATIONS, _CITIES = words("countries"), words("cities") | words("places_world") | words("provinces")


@rule("place_chain", labels=["LOC"], group="places", after="votes", weight=0.95,
      yes=["[[美国波士顿]]下起大雪"], no=["韩国、日本"])  # fmt: skip
def place_chain(document: Document) -> Iterator[tuple[int, int]]:
    """A country and a place in it that touch are one place (美国纽约)."""
    text = document.text
    spans = {(s.start, s.end) for s in document.spans if s.label == "LOC"}
    starts: dict[int, int] = {}
    for start, end in spans:
        starts[start] = max(end, starts.get(start, 0))
    for start, end in spans:
        if text[start:end] in _NATIONS and end in starts:
            follow = text[end : starts[end]]
            if follow not in _NATIONS and len(follow) > 1:
                yield start, starts[end]
