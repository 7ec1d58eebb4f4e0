"""COM, ORG and WORK named by their last word: …有限公司, …大学, …协会, …研究院, …队.

From the last word the name is followed to the left over Han characters, letters, digits and
（）, until a border or a character or word that names do not contain; a place, where one stands
near the left edge, is taken as the beginning.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ahocorasick_rs import AhoCorasick, MatchKind

from hanspan.data import Document
from hanspan.rules import rule
from hanspan.rules.news_persons import TRANSLITERATION
from hanspan.rules.news_words import WORDS, endings, starts, words
from hanspan.rules.source import read_words

_STOP = frozenset(
    "的了在是不这那哪些我你他她它们个就都很也还被把让给对与或及但而且则即吗呢吧啊么什怎谁每将已曾从到着过去来往说称问做"
    "该此其各某等以为由向于和同跟因所使令叫派请找用靠按据像如若无非未有没一两几多数首本另之者并又再更最只仅才刚"
    "，。、；：？！,.;:?!“”‘’\"'《》〈〉「」『』—–/|#@…<>&* 　\n\t"
)
_HARD = frozenset(
    "的了在是，。、；：？！,.;:?!“”‘’\"'《》〈〉「」『』—–/|#@…<>* 　\n\t"
    "和与及由向被把将为到对从给让据等"
)
_KEEP = re.compile(
    "和平|共和|南非|日本|中和|和谐|同济|大同|同仁|同方|有色|有限|中国|以色列|一汽|一中|多特|无锡|非洲|"
    "于洪|本溪|本田|日本|基本|对外|来宾|未来|到位|首都|首钢|首创|首尔|首旅|如皋|用友|应用|"
    "通用|信用|民用|军用|商用|所罗门|派拉蒙|共同|协同|联合|无线|多媒体|多伦多|多哈|第一|统一|"
    "一带一路|同和|为民|华为|个人|使馆|于都|从化|个旧"
)
_VERBS = re.compile(
    "(?:抵制|欢迎|迎接|护送|送别|致敬|开通|进驻|拨打|抛售|中标|取得|购买|接收|承接|减轻|加剧|影响|冒充|劫持|就职于|就读于|任职于|供职于|效力于|增加|确保|降准|有效|买入|卖出|掺假|辞职|破产|保护|举报|入选|选拔|换股|重组|起诉|减持|增持|回购|质押|认购|解除|曝光|招摇|希望|预期|维持|警惕|防止|允许|禁止|建议|提高|扩大|健全|指导|满足|实现|明确|要求|扭转|顺势|成功|协助|大量|批准|授权|委托|请求|开除|罚款|处罚|约谈|协调|督促|注重|首批|多次|新当选|当选|来自|毕业于|就读|就职|任职|供职|加盟|加入|走进|走访|访问|考察|参观|前往|抵达|出席|参加|举办|主办|承办|协办|联合主办|"
    "创办|成立|组建|设立|建立|筹建|创建|收购|并购|入股|控股股东|持有|投资|起诉|状告|指控|指责|批评|表示|指出|认为|强调|介绍|透露|"
    "结成|启动|宣布|发布|公布|公告|披露|获悉|报道|援引|担任|出任|兼任|聘任|任命|考上|考入|考取|进入|转会|效力|战胜|击败|不敌|对阵|"
    "迎战|挑战|力克|横扫|淘汰|面对|支持|推动|推进|促进|加强|鼓励|引导|帮助|组织|通知|要求|接受|联系|合作|签约|签署|通过|"
    "选择|包括|涉及|涵盖|囊括|发展|开展|开设|兴办|兴建|新建|建设|培育|打造|引进|吸引|落户|入驻|关闭|取缔|整治|清理|查处|"
    "位于|坐落|依托|围绕|根据|按照|鉴于|关于|对于|作为|成为|属于|隶属|归属|旗下|所属|下属|附属于|名叫|名为|叫做|全国各地|"
    "全资子公司|全资|子公司|孙公司|母公司|收费|国内|国外|境外|海外|境内|省内|市内|当地|本地|外地|知名|著名|大型|小型|中型|民营|"
    "国有|私营|外资|合资|上市|相关|有关|其中|目前|今天|昨天|近日|日前|记者|同志|先生|女士|教授|博士|院士|主任|主席|院长|会长|校长|"
    "董事长|总裁|经理|书记|部长|局长|委员|代表|专家|学者|学生|老师|球员|前锋|后卫|中场|门将|主帅|主教练|队员|冠军|亚军)"
)
_HEADS: dict[str, tuple[str, tuple[str, ...]]] = {}
_BOUND: set[str] = set()  # heads of names that begin with a place
for _, _row in read_words(WORDS / "heads.txt"):
    _label, _head, *_rest = _row.split("\t")
    _HEADS[_head] = (_label, tuple(_rest[0].split()) if _rest else ())
    if _rest[1:] == ["place"]:
        _BOUND.add(_head)
_FIND_HEAD = AhoCorasick(list(_HEADS), matchkind=MatchKind.LeftmostLongest)
_HEAD_LIST = list(_HEADS.items())
_TAIL = re.compile(
    "[\u4e00-\u9fff（）]{0,10}?(?:研究院|学院|研究所|研究生院|研究中心|研究会|附属[\u4e00-\u9fff]{0,4}医院|附属中学|"
    "分行|支行|营业部|分公司|研究室|经济系|新闻系|中文系|历史系|法学系|分校|实验室)"
)
_SAFE = frozenset(
    [
        "大学",
        "学院",
        "研究院",
        "研究所",
        "协会",
        "学会",
        "基金会",
        "联合会",
        "商会",
        "促进会",
        "出版社",
        "实验室",
        "研究会",
        "研究中心",
        "俱乐部",
        "医院",
        "中学",
        "小学",
        "通讯社",
        "电视台",
        "足球队",
        "篮球队",
    ]
)
_PLACES = words("provinces") | words("cities") | words("countries") | words("places_world")
_COUNTRIES = words("countries")
_ABROAD = _COUNTRIES - {"中国", "香港", "澳门", "美国"}
_JOINED = frozenset(["国立", "国家", "皇家", "联邦", "中央", "科学"])
_OWN = frozenset(["大学", "学院", "通讯", "电视", "日报", "晚报", "时报", "医院"])
_GENERIC = re.compile(
    "^(?:改革|全市人民|第[一二三四五六七八九十]+届|三边|双边|多边|配套|损害|落选|指定|定点|全省|全市|中小|联合|公司|实际|发卡|法人|职教|廉价|方舱|野战|临时|定点|互联网|网上|网红|骗子|友好|乡村|郊区|灾区|当地|调查|监察|选举|治丧|专门|混合|法律|资格|审查|评选|混合|高级|期内|认购|限售|流通|库存|部分|剩余|全部|大股东|中央|国家|地方|外资|中资|商业|国有|大型|中小|股份制|政策性|投资|世界|全球|国际|城市|农村|私立|公立|民办|重点|普通|高等|"
    "职业|综合|专科|三甲|三级|基层|乡镇|社区|县级|市级|省级|部分|企业|行业|上市|龙头|科技|技术|高新|合资|控股|金融|证券|保险|"
    "基金|信托|期货|房地产|地产|互联网|网络|汽车|传统|主流|专业|独立|民间|社会|学术|科研|教育|文化|体育|青年|妇女|工商|"
    "学生|农民|职工|业主|居民|村民|监督|管理|执行|常务|评审|专家|仲裁|咨询|领导|工作|战略|合作|关税|反对|执政|在野|政|朋|"
    "赛|同|我|全|任何|医学|化学|物理|生物|中心|重点|海上自卫|改革试点项目|核心|研发|伙伴|创业|管理|部|军|舰|车|船|排|团|分|支|大|中|小|主|客|强|弱|球|国|客|乐|游|整|列|站|组|编|卫|梯|敌|友|领|归|入|离|带|两|各|"
    "总|省|市|县|区|校|院|系|专业化|第三方|母|子|新|老|旧|这家|保荐|承销|评级|开发|运营|关联|参股|实业|产业|建筑|建设|施工|"
    "电影|电视|广播|新闻|本届|当地|定点|指定|援鄂|国内|国外|境外|海外|大|综合性|一流|名牌|本科|高职|定制|目标|原|前|现|数字|"
    "少数|多数|左翼|右翼|中间|极右|民族|区域|自治|双|单|非|微|超级|连锁|便利|农产品|批发|零售|仓储|生鲜|大中型|五星级|星级|"
    "快捷|经济型|商务|度假|豪华|高档|连带)+$"
)


_FURNITURE = re.compile(
    "(?:本报讯|报讯|[日网社]电|电(?=[据香北上广]|[\u4e00-\u9fff]{2,4}[省市县])|据|而(?!立)|但|虽然|尽管|"
    "甚至|应当|许多|不少|其余|附近|根据|如果|因为|由于|所以|于是|然后|随后|随着|以及|并且|而且|或者|"
    "还是|就是|正是|只有|不是|没有|还有|首批|首家|首个|下称|简称|以下简称|实拍|视频|图为|图：|"
    "拟(?=[\u4e00-\u9fff]{3})|已对|已与|与|逾|共计|分别|正逢|适逢|最大|最早|必然|必要的|必须|需要|才能|可以|"
    "能够|立即|一起|共同(?!民主党)|再次|多次|不会|不得|这次|这位|这名|一位|一名|该校|该院|该厂|"
    "该县(?!县)|该市|该省|该州|各省|各市|各区|各县|各国|各类|各级|有关|我国|我省|我市|我校)"
)
"""Words at the left edge that no name begins with."""
_RESTART = re.compile(
    "本报讯|[长席臣理事师员]兼(?![容并职顾任])|(?:反对|执政|在野)党(?=[\u4e00-\u9fff]{2})"
)
"""After these a name begins anew: …下岗职工本报讯河南…公司, …大臣兼国家公安委员会."""
_CUT_WORDS = words("welded")
"""Two-character words of which the second character must not begin a name."""


def _unwelded(text: str, start: int, end: int) -> int:
    """The left edge moved over the second half of an everyday word and over furniture."""
    if start and text[start - 1 : start + 1] in _CUT_WORDS:
        start += 1
    found = _FURNITURE.match(text, start, end)
    while found:
        start = found.end()
        found = _FURNITURE.match(text, start, end)
    return start


_ALSO_NAMES = frozenset(
    ["投资", "发展", "建设", "合作", "保护", "组织", "海外", "国内", "境外", "国有", "联合"]
)
_NO_START = frozenset("0123456789年月日家省市县区）)")
_COUNTED = re.compile(
    "(?<![第0-9０-９一二三四五六七八九十])[0-9０-９一二三四五六七八九十几两]+[家大]|首[家个批]"
)
_TROOPS = frozenset(
    ["部队", "军队", "舰队", "大队", "支队", "排队", "车队", "团队", "列队", "连队"]
)


_NO_HEADS = words("not_heads")
_VENUES = tuple("会议 会展 展览 体育 商业 购物 城市 经济 金融 交通 贸易".split())  # noqa: SIM905


_SPORTS = (
    "女子", "男子", "足球", "篮球", "排球", "乒乓球", "羽毛球", "冰球", "曲棍球", "手球",
    "橄榄球", "棒球", "国家", "代表", "医疗", "救援", "考古", "科考", "国奥",
)  # fmt: skip


def _team(text: str, start: int, end: int) -> bool:
    """Whether a name in 队 is that of a team: a place, or a sport."""
    core = text[start : end - 1]
    if endings(_TROOPS, text, end):
        return False
    if core in _PLACES or core.endswith(_SPORTS):
        return True
    return core.endswith(("女", "男")) and core[:-1] in _PLACES


def _left(text: str, end: int, limit: int, stop: frozenset[str]) -> int:
    """How far a name that ends at ``end`` may reach to the left."""
    start = end
    while start and end - start < limit:
        char = text[start - 1]
        if char in stop and not _kept(text, start - 1):
            break
        if char in ")）" and not re.search("[(（]", text[max(0, start - 9) : start]):
            break
        if char in "(（" and not re.search("[)）]", text[start : min(end, start + 9)]):
            break
        start -= 1
    return start


def _kept(text: str, at: int) -> bool:
    around = _KEEP.search(text, max(0, at - 3), min(len(text), at + 4))
    return bool(around and around.start() <= at < around.end())


def _place_at(text: str, start: int, end: int) -> int:
    """Where a place begins in the first characters from ``start``; -1 for nowhere."""
    for at in range(start, min(start + 5, end)):
        if any(text[at : at + size] in _PLACES for size in (5, 4, 3, 2)):
            return at
    return -1


def _begin(text: str, start: int, head: int) -> tuple[int, bool]:
    """Left edge after verbs, posts and numbers, at a place where one stands; whether it is one."""
    for match in _RESTART.finditer(text, start, head):
        start = match.end()
    start = _unwelded(text, start, head)
    for match in _VERBS.finditer(text, start, head):
        if match[0] in _ALSO_NAMES and _place_at(text, start, match.start()) >= 0:
            break  # 上海赢东|投资|管理有限公司
        start = match.end()
    start = _unwelded(text, start, head)
    while start < head and text[start] in "超称获诉经并赴该原现前拟曝":
        start += 1
    for at in range(start, min(start + 5, head)):
        for size in (6, 5, 4, 3, 2):
            if text[at : at + size] in _PLACES and at + size <= head:
                if at > start and text[at - 1] in "(（":
                    return start, True
                country = text[at : at + size]
                rest = text[at + size : head]
                if (
                    country in _ABROAD
                    and len(rest) >= 2
                    and rest[:2] not in _JOINED
                    and text[head : head + 2] in _OWN
                ):
                    return at + size, True
                return at, True
    return start, False


def _spans(document: Document) -> Iterator[tuple[int, int, str]]:
    text = document.text
    for number, head, end in _FIND_HEAD.find_matches_as_indexes(text):
        word, (label, stops) = _HEAD_LIST[number]
        if stops and text.startswith(stops, end):
            continue
        long_head = word.endswith(("有限公司", "责任公司"))
        edge = _left(text, head, 24, _HARD if long_head else _STOP)
        start, placed = _begin(text, edge, head)
        if long_head and "公司" in text[start : head - 2]:
            start = text.rindex("公司", start, head - 2) + 2
        if word in _BOUND and (
            not placed or not 2 <= head - start <= 12 or endings(_NO_HEADS, text, end)
        ):
            continue
        if word == "中心" and (not placed or text.startswith(_VENUES, head - 2)):
            continue
        core = text[start:head]
        if len(core) < 2 or (
            (core[0] in _NO_START and not core.startswith("日本")) or core.startswith("日本人")
        ):
            continue
        if (core not in _PLACES and _GENERIC.match(core)) or _COUNTED.search(core):
            continue
        if not long_head and len(core) > (12 if placed or word in _SAFE else 6):
            continue
        tail = _TAIL.match(text, end) if len(word) > 1 else None
        if tail and not any(char in _STOP for char in tail[0]):
            end = tail.end()
        yield start, end, label


_SOUNDS = "".join(sorted(TRANSLITERATION))
_FOREIGN_COMPANY = re.compile(
    rf"(?:^|(?<=[^A-Za-z0-9.&-]))[A-Z][A-Za-z0-9&.-]{{2,14}}公司|(?:^|(?<=[^{_SOUNDS}]))[{_SOUNDS}]{{3,6}}公司"
)


@rule("foreign_company", labels=["COM"], group="names", weight=0.8,
      yes=["法国的[[托塔尔公司]]，", "[[Westwood公司]]曾"],
      no=["子公司和上市公司", "当地公司", "的小额贷款公司"])  # fmt: skip
def foreign_company(document: Document) -> Iterator[tuple[int, int]]:
    """A name in Latin letters or in the characters of transliterations, with 公司."""
    text = document.text
    if "公司" not in text:
        return
    for match in _FOREIGN_COMPANY.finditer(text):
        start, end = match.span()
        skip = starts(_COUNTRIES, text, start)
        if end - start - skip > 4:
            yield start + skip, end


@rule("named_by_head", labels=["COM", "ORG", "GOV"], group="names", weight=0.8,
      yes=["扬州市政协委员、[[扬州远航精密仪器有限公司|COM]]董事长",
           "就职于[[海州证券股份有限公司|COM]]", "本报讯[[河南江远制药有限公司|COM]]积极",
           "安排职工本报讯[[河南江远制药有限公司|COM]]积极", "主席兼[[扬州钢琴协会|ORG]]会长",
           "[[扬州第四大药房有限公司|COM]]",
           "在[[扬州第二造纸厂|COM]]工作", "[[江苏省航道运输管理局|GOV]]通知",
           "[[河海师范大学|ORG]]教授", "[[中国钢琴协会|ORG]]以及"],
      no=["一家大型国有企业集团", "加拿大6大银行中已有4家", "全球十大汽车公司",
          "商业银行", "行业协会负责人", "一所高等学校"])  # fmt: skip
def named_by_head(document: Document) -> Iterator[tuple[int, int, str]]:
    """Companies, schools, associations, institutes, media, teams by their last word."""
    text = document.text
    for start, end, label in _spans(document):
        if text[end - 1] == "队" and not _team(text, start, end):
            continue
        yield start, end, label


_CODE = re.compile(
    r"[（(](?:(?:SH|SZ|sh|sz)?[0368][0-9]{5}(?:\.(?:SH|SZ|BJ|sh|sz))?|0?[0-9]{4,5}\.(?:HK|hk)|[A-Z]{1,5}\.(?:N|O|US|L|T))"
    r"(?:[，,、][^（()）]{0,12})?[）)]"
)
_SHARE = re.compile(r"(?:\*?ST)?[\u4e00-\u9fffA-Za-z]+(?:-[A-Z])?$")


@rule("share_code", labels=["COM"], group="names", weight=0.9,
      yes=["[[江州燃气]](601139.SH)公布", "卖出[[远航精工]](300266)，"],
      no=["共计(300266)元"])  # fmt: skip
def share_code(document: Document) -> Iterator[tuple[int, int]]:
    """The short name before a share code: as far as a border, else its usual four characters."""
    text = document.text
    for match in _CODE.finditer(text):
        end = match.start()
        found = _SHARE.search(text, max(0, end - 8), end)
        if found is None or end - found.start() < 3:
            continue
        start = found.start()
        for verb in _VERBS.finditer(text, start, end - 2):
            start = verb.end()
        start = _unwelded(text, start, end)
        if not 3 <= end - start <= 5 and text[end - 4 : end].isalpha():
            start = end - 4
            start += text[start - 1 : start + 1] in _CUT_WORDS if start else 0
        if end - start >= 3:
            yield start, end


_SHARES = re.compile(
    r"(?:(?:\*?ST)?[\u4e00-\u9fff]{3,5}[A-Z]?、){2,}(?:\*?ST)?[\u4e00-\u9fff]{3,4}?"
    r"(?=等|(?:此前|均|双双|集体|纷纷|盘中)?"
    r"(?:涨|跌|领涨|领跌|跟涨|跟跌|封板|走强|走低|走高|大涨|大跌|拉升|飘红|上涨|下跌))"
)
_MOVES = re.compile(
    "涨幅|跌幅|涨停|跌停|领涨|领跌|跟涨|跟跌|居前|封板|走强|走低|[涨跌]超|[涨跌]近|[涨跌]逾|拉升"
)
_NO_SHARES = re.compile("板块|概念|题材|方向|指数|行业|赛道|期货|主力合约|品种")
_NO_SHARE = ("省", "市", "区", "县", "板块", "行业", "产业", "概念", "指数", "价格", "主力", "业")
_SECTORS = words("industries") | {"数字货币", "网络安全", "旅游酒店", "互联网彩票", "汽车整车"}


@rule("share_list", labels=["COM"], group="names", weight=0.8,
      yes=["[[江记食品]]、[[百味中厨]]、[[高邮食品]]等跌幅居前。"],
      no=["北京市、上海市、天津市等上涨。", "数字货币、网络安全、区块链等跌幅居前。"])  # fmt: skip
def share_list(document: Document) -> Iterator[tuple[int, int]]:
    """Lists of share names before words for a rise or fall."""
    text = document.text
    if not _MOVES.search(text):
        return
    for match in _SHARES.finditer(text):
        at, end = match.span()
        if not _MOVES.search(text, end, end + 8) or _NO_SHARES.search(text, end, end + 8):
            continue
        names = match[0].split("、")
        if any(name.endswith(_NO_SHARE) or name in _SECTORS for name in names):
            continue
        for name in names:
            yield at, at + len(name)
            at += len(name) + 1
