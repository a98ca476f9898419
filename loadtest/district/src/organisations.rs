//! The district's tree of organisations: departments, the service hall with its windows, two streets with a window
//! each, and a village.

use serde_json::{Value, json};

use crate::{
    DISTRICT,
    departments::{SERVICES, consuming_departments, issuing_departments},
};

/// The tree as the hub reads it: `yihao-organisations-1`.
///
/// Nodes: `lanxi` (the district); a department's slug for each department; `hall` with the windows `hall-1` and
/// `hall-2`; the streets `qingxi` and `baishi` with the windows `qingxi-1` and `baishi-1`; the village `heping` under
/// `qingxi` with the window `heping-1`. Hall, streets and village act for the government services bureau.
pub fn organisations_json() -> String {
    let services = SERVICES.code();
    let mut nodes = vec![json!({
        "code": "lanxi", "name": DISTRICT, "name_en": "Lanxi District", "kind": "district",
    })];
    for department in issuing_departments().into_iter().chain(consuming_departments()) {
        nodes.push(json!({
            "code": department.slug, "name": department.name, "name_en": department.name_en,
            "kind": "department", "parent": "lanxi", "department": department.code,
        }));
    }
    let mut add = |code: &str, name: &str, name_en: &str, kind: &str, parent: &str, own: bool| {
        let mut node = json!({
            "code": code, "name": name, "name_en": name_en, "kind": kind, "parent": parent,
        });
        if own {
            node["department"] = Value::String(services.clone());
        }
        nodes.push(node);
    };
    let hall = ("澜溪区政务服务中心", "Lanxi Government Service Centre");
    add("hall", hall.0, hall.1, "department", "lanxi", true);
    add("hall-1", "政务服务中心1号窗口", "Service Centre, window 1", "window", "hall", false);
    add("hall-2", "政务服务中心2号窗口", "Service Centre, window 2", "window", "hall", false);
    add("qingxi", "青溪街道", "Qingxi Street", "street", "lanxi", true);
    add("qingxi-1", "青溪街道便民服务窗口", "Qingxi Street, window", "window", "qingxi", false);
    add("baishi", "白石街道", "Baishi Street", "street", "lanxi", true);
    add("baishi-1", "白石街道便民服务窗口", "Baishi Street, window", "window", "baishi", false);
    add("heping", "和平村", "Heping Village", "village", "qingxi", false);
    add("heping-1", "和平村便民服务点", "Heping Village, service point", "window", "heping", false);
    format!("{:#}\n", json!({ "format": "yihao-organisations-1", "nodes": nodes }))
}
