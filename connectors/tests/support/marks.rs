//! That a counterpart's marks, tallies and holdings are those that the connector says they should be.

use std::collections::BTreeMap;

use connectors::{Batch, Bucket, Connector, Mark, Shared, Tally, rules::samples};
use licence::{LicenceId, LicenceStatus};

/// A code map that sends little, and a column that only this counterpart has.
pub const SMALL_MAP: &str = r#"{
  "format": "yihao-code-map-1",
  "fields": [
    { "as": "certificate_name", "from": "name" },
    { "as": "certificate_type_code", "from": "licence_type" },
    { "as": "certificate_holder_code", "from": "holder_number" },
    { "as": "certificate_holder_type", "from": "holder_kind" },
    { "as": "cd_operation", "from": "operation" },
    { "as": "issue_date", "from": "issued_on" },
    { "as": "valid_until", "from": "valid_to" }
  ],
  "codes": {
    "operation": { "insert": "1", "update": "2", "delete": "3" },
    "holder_kind": { "111": "01" },
    "licence_type": { "*": "A1" }
  },
  "dates": "compact", "open_ended": "2099-12-31", "empty": "-"
}"#;

/// Delivers changes of two types and days, some of them withdrawn again, and compares.
pub async fn agree(connector: &dyn Connector) {
    let mut items: Vec<Shared> = (0..5).map(samples::issued).collect();
    items.push(samples::issued_of(5, samples::types()[1]));
    let mut licence = samples::licence(6, samples::types()[0]);
    licence.issued_on = jiff::civil::date(2024, 2, 29);
    licence.name = "名称 | 有\t竖线\n与\\反斜线".to_owned();
    items.push(samples::of_licence(6, licence));
    let suspended = |seq, item: &Shared| {
        samples::changed(seq, item, LicenceStatus::Valid, LicenceStatus::Suspended)
    };
    let changes = vec![suspended(7, &items[0]), suspended(8, &items[1])];
    let restored = samples::changed(9, &items[1], LicenceStatus::Suspended, LicenceStatus::Valid);
    let batch = Batch::new(connector.name(), 0, items.clone());
    connector.deliver(&batch).await.unwrap();
    connector.deliver(&Batch::new(connector.name(), 0, changes)).await.unwrap();
    connector.deliver(&Batch::new(connector.name(), 0, vec![restored.clone()])).await.unwrap();
    let mut held = items.split_off(2);
    held.push(restored);
    compare(connector, &held).await;
}

/// The counterpart holds these and nothing else.
pub async fn compare(connector: &dyn Connector, held: &[Shared]) {
    let mut ours: BTreeMap<Bucket, BTreeMap<String, Mark>> = BTreeMap::new();
    for item in held {
        let bucket =
            Bucket { licence_type: item.licence.licence_type, day: item.licence.issued_on };
        let mark = connector.mark(item).unwrap();
        ours.entry(bucket).or_default().insert(item.identifier().to_string(), mark);
    }
    let sums: BTreeMap<Bucket, Tally> = ours
        .iter()
        .map(|(bucket, marks)| {
            let mut tally = Tally::default();
            marks.values().for_each(|mark| tally.add(*mark));
            (*bucket, tally)
        })
        .collect();
    assert_eq!(connector.tallies().await.unwrap(), Some(sums));
    for (bucket, marks) in &ours {
        let mut found = BTreeMap::new();
        let mut after: Option<LicenceId> = None;
        loop {
            let page = connector.holdings(bucket, after.as_ref(), 2).await.unwrap();
            assert!(page.len() <= 2);
            let Some(last) = page.last() else { break };
            after = Some(last.identifier.clone());
            for holding in page {
                let before = found.insert(holding.identifier.to_string(), holding.mark);
                assert_eq!(before, None, "each once");
            }
        }
        assert_eq!(&found, marks);
    }
}
