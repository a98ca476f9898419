//! Name tables of the invented district, written for it: common surnames and characters of given
//! names, words of trade names with their pinyin, streets. No list of real persons or enterprises
//! stands behind them.

/// Surnames, the commonest first.
pub(crate) const SURNAMES: &[&str] = &[
    "王", "李", "张", "刘", "陈", "杨", "黄", "赵", "周", "吴", "徐", "孙", "马", "胡", "朱", "郭",
    "何", "罗", "高", "林", "郑", "梁", "谢", "唐", "许", "冯", "宋", "韩", "邓", "彭", "曹", "曾",
    "田", "萧", "潘", "袁", "蔡", "蒋", "余", "于", "杜", "叶", "程", "魏", "苏", "吕", "丁", "沈",
    "任", "姚", "卢", "傅", "钟", "姜", "崔", "谭", "廖", "范", "汪", "陆", "金", "石", "戴", "贾",
    "韦", "夏", "邱", "方", "侯", "邹", "熊", "孟", "秦", "白", "江", "阎", "薛", "尹", "段", "雷",
    "黎", "史", "龙", "陶", "贺", "顾", "毛", "郝", "龚", "邵", "万", "覃", "钱", "严", "武", "莫",
    "孔", "欧阳", "上官", "司徒", "诸葛", "皇甫", "单", "解", "尉迟", "令狐",
];

/// Characters of men's given names.
pub(crate) const MALE: &[&str] = &[
    "伟", "强", "磊", "军", "勇", "杰", "涛", "斌", "浩", "鹏", "宇", "志", "明", "建", "国", "俊",
    "峰", "辉", "飞", "刚", "平", "文", "华", "林", "健", "博", "海", "波", "亮", "超", "龙", "晨",
    "凯", "旭", "毅", "翔", "铭", "昊", "轩", "泽", "睿", "航", "嘉", "骏", "坤", "栋", "彬", "恒",
    "皓", "松", "岳", "庆", "祥", "达", "安", "成", "康", "鸣", "远", "清", "柏", "承", "启", "璟",
];

/// Characters of women's given names.
pub(crate) const FEMALE: &[&str] = &[
    "芳", "娜", "敏", "静", "丽", "艳", "娟", "霞", "燕", "玲", "婷", "雪", "琳", "慧", "晶", "莹",
    "颖", "洁", "萍", "红", "梅", "倩", "欣", "怡", "佳", "雯", "琪", "瑶", "璐", "蕾", "薇", "菲",
    "涵", "萱", "梦", "思", "雨", "诗", "悦", "馨", "雅", "岚", "兰", "蓉", "秀", "英", "凤", "云",
    "月", "珍", "素", "青", "楠", "宁", "桐", "若", "语", "可", "晓", "嫣", "筠", "妍", "蔓", "乔",
];

/// Characters of enterprise names, with pinyin.
pub(crate) const TRADE_NAME: &[(&str, &str)] = &[
    ("恒", "heng"),
    ("泰", "tai"),
    ("鑫", "xin"),
    ("盛", "sheng"),
    ("瑞", "rui"),
    ("丰", "feng"),
    ("嘉", "jia"),
    ("润", "run"),
    ("达", "da"),
    ("诚", "cheng"),
    ("信", "xin"),
    ("华", "hua"),
    ("隆", "long"),
    ("源", "yuan"),
    ("康", "kang"),
    ("安", "an"),
    ("博", "bo"),
    ("联", "lian"),
    ("众", "zhong"),
    ("远", "yuan"),
    ("腾", "teng"),
    ("宏", "hong"),
    ("兴", "xing"),
    ("祥", "xiang"),
    ("和", "he"),
    ("顺", "shun"),
    ("利", "li"),
    ("佳", "jia"),
    ("新", "xin"),
    ("天", "tian"),
    ("金", "jin"),
    ("海", "hai"),
    ("江", "jiang"),
    ("山", "shan"),
    ("云", "yun"),
    ("岭", "ling"),
    ("澜", "lan"),
    ("溪", "xi"),
    ("汀", "ting"),
    ("陵", "ling"),
    ("禾", "he"),
    ("木", "mu"),
    ("启", "qi"),
    ("明", "ming"),
    ("辰", "chen"),
    ("拓", "tuo"),
    ("捷", "jie"),
    ("广", "guang"),
    ("益", "yi"),
    ("昌", "chang"),
    ("硕", "shuo"),
    ("锦", "jin"),
    ("柏", "bai"),
    ("凌", "ling"),
    ("鼎", "ding"),
    ("晟", "sheng"),
];

/// What an enterprise does.
pub(crate) struct Trade {
    /// As in the name.
    pub(crate) word: &'static str,
    /// The same in English.
    pub(crate) english: &'static str,
    /// Business scope as registered.
    pub(crate) scope: &'static str,
}

/// How many of [`TRADES`], counted from the first, deal in food.
pub(crate) const FOOD_TRADES: u64 = 4;

/// Trades of enterprises, those dealing in food first.
pub(crate) const TRADES: &[Trade] = &[
    Trade {
        word: "餐饮管理",
        english: "Catering",
        scope: "餐饮服务；食品销售；餐饮管理；外卖递送服务。",
    },
    Trade {
        word: "食品",
        english: "Foods",
        scope: "食品生产；食品销售；食用农产品批发；低温仓储。",
    },
    Trade {
        word: "农业发展",
        english: "Agriculture",
        scope: "蔬菜种植；水果种植；农副产品销售；农业技术推广服务。",
    },
    Trade {
        word: "商业连锁",
        english: "Stores",
        scope: "食品销售；日用品销售；母婴用品销售；便利店经营。",
    },
    Trade {
        word: "贸易",
        english: "Trading",
        scope: "国内贸易代理；五金产品批发；日用百货销售；货物进出口。",
    },
    Trade {
        word: "信息技术",
        english: "Information Technology",
        scope: "软件开发；信息系统集成服务；数据处理和存储支持服务；技术咨询。",
    },
    Trade {
        word: "物流",
        english: "Logistics",
        scope: "道路货物运输；普通货物仓储服务；装卸搬运；国内货物运输代理。",
    },
    Trade {
        word: "机械制造",
        english: "Machinery",
        scope: "通用设备制造；机械零件、零部件加工；模具制造；机械设备销售。",
    },
    Trade {
        word: "文化传媒",
        english: "Culture and Media",
        scope: "组织文化艺术交流活动；广告设计、代理；会议及展览服务。",
    },
    Trade {
        word: "纺织",
        english: "Textiles",
        scope: "面料纺织加工；服装制造；针纺织品及原料销售。",
    },
    Trade {
        word: "汽车服务",
        english: "Auto Services",
        scope: "机动车修理和维护；汽车零配件零售；洗车服务；二手车经纪。",
    },
    Trade {
        word: "环保科技",
        english: "Environmental Technology",
        scope: "环保咨询服务；水污染治理；环境保护专用设备销售；资源循环利用。",
    },
    Trade {
        word: "教育咨询",
        english: "Education Consulting",
        scope: "教育咨询服务（不含涉许可审批的教育培训活动）；文具用品零售。",
    },
    Trade {
        word: "电子科技",
        english: "Electronics",
        scope: "电子元器件制造；集成电路设计；家用电器销售；物联网设备制造。",
    },
];

/// Builders hold qualifications and build the projects.
pub(crate) const BUILDER: Trade = Trade {
    word: "建设工程",
    english: "Construction",
    scope: "房屋建筑和市政基础设施项目工程总承包；建筑装饰装修；建筑材料销售。",
};

/// Pharmacies hold drug operation licences.
pub(crate) const PHARMACY: Trade = Trade {
    word: "大药房",
    english: "Pharmacy",
    scope: "药品零售；第二类医疗器械销售；保健食品（预包装）销售；消毒剂销售。",
};

/// Streets and roads of the district.
pub(crate) const STREETS: &[&str] = &[
    "澜溪大道",
    "汀陵路",
    "观澜街",
    "柳荫路",
    "石桥街",
    "望江路",
    "文昌街",
    "桂苑路",
    "青禾路",
    "东渡街",
    "南门街",
    "北岭路",
    "书院巷",
    "码头路",
    "金枫路",
    "新垦路",
    "竹湾路",
    "鹭洲街",
];

/// Residential quarters of the district.
pub(crate) const QUARTERS: &[&str] = &[
    "观澜花园",
    "江畔新城",
    "桂苑小区",
    "青禾家园",
    "石桥里",
    "文昌华庭",
    "鹭洲半岛",
    "柳荫苑",
    "竹湾雅居",
    "望江名邸",
    "金枫公寓",
    "东渡新村",
];

/// What is built in projects.
pub(crate) const WORKS: &[(&str, &str)] = &[
    ("标准厂房", "工业用地"),
    ("第三小学扩建", "教育用地"),
    ("人才公寓", "城镇住宅用地"),
    ("污水处理厂提标改造", "排水用地"),
    ("综合医院门诊楼", "医疗卫生用地"),
    ("智慧物流园", "物流仓储用地"),
    ("文化中心", "文化用地"),
    ("农贸市场改造", "商业用地"),
    ("数据中心", "工业用地"),
    ("社区养老服务中心", "社会福利用地"),
    ("公共停车楼", "交通场站用地"),
    ("产业孵化基地", "科研用地"),
];

/// Peoples beside the Han, the commonest first.
pub(crate) const MINORITIES: &[&str] = &["壮", "瑶", "苗", "侗", "回", "满", "仫佬"];

/// Hospitals with a maternity ward.
pub(crate) const HOSPITALS: &[&str] =
    &["汀陵市妇幼保健院", "澜溪区人民医院", "汀陵市第二人民医院", "澜溪区中医医院"];
