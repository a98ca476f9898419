//! What was added to a PDF after a signature (ISO 32000-2, 12.8.2.2; ETSI EN 319 142-1, 5.4 and 5.5).
//!
//! Each revision is compared with the one before. Harmless is what a further signature brings: its field and
//! widget, its dictionary, the reference to them from form and page, a document time-stamp, the document
//! security store, metadata. Anything else could change what a person sees, or what a program computes from
//! it: filled-in forms, annotations, new contents, objects pointed elsewhere. The known ways of hiding such
//! a change (shadow attacks: Mainka, Mladenov, Rohlmann, 2021) fall under "anything else", with three more
//! rules: every byte of the revision belongs to an object that its cross-references name, nothing that was
//! referred to without being there comes into being, and an object that may change is not referred to from
//! where it would matter.

use std::collections::{BTreeSet, HashSet};

use quick_xml::events::Event;

use super::PdfError;
use super::file::{Entry, File, Found};
use super::object::{Dictionary, Object, Reader};
use super::signature::{Field, FieldReader, Permissions, Signature};
use crate::{Link, LinkVerdict};

/// Stands for the trailer where the numbers of referring objects are listed.
const TRAILER: u32 = u32::MAX;

/// Keys of a signature field that signing sets (12.5.2, 12.7.4.1).
const SET_BY_SIGNING: [&[u8]; 7] = [b"V", b"AP", b"AS", b"M", b"F", b"DA", b"Q"];

/// Keys that a new signature field and its widgets may have (12.5.2, 12.5.6.19, 12.7.4.1, 12.7.5.5). What another key
/// would do to what is shown nobody stands for.
const OF_NEW_FIELDS: [&[u8]; 26] = [
    b"AP",
    b"AS",
    b"Border",
    b"BS",
    b"DA",
    b"DR",
    b"F",
    b"FT",
    b"Ff",
    b"H",
    b"Kids",
    b"Lock",
    b"M",
    b"MK",
    b"NM",
    b"P",
    b"Parent",
    b"Q",
    b"Rect",
    b"StructParent",
    b"SV",
    b"Subtype",
    b"T",
    b"TM",
    b"TU",
    b"Type",
];

/// Keys of the trailer that each revision has of its own (7.5.5, 7.5.8.2).
/// `DocChecksum` is of LibreOffice; whether there is a stream beside a table is looked at elsewhere.
const OF_EACH_TRAILER: [&[u8]; 12] = [
    b"Size",
    b"Prev",
    b"Info",
    b"ID",
    b"Type",
    b"W",
    b"Index",
    b"Filter",
    b"DecodeParms",
    b"Length",
    b"XRefStm",
    b"DocChecksum",
];

/// The revisions after the first signed one, each compared with the one before.
pub(super) struct Changes {
    steps: Vec<(usize, Result<Step, Refused>)>,
    rest: Option<String>,
}

/// A harmless revision.
struct Step {
    /// It does no more than adding document time-stamps and what proves validity.
    proves_only: bool,
    /// Fields that were there and were signed.
    signed: Vec<String>,
}

struct Refused {
    error: PdfError,
    about: String,
}

impl Changes {
    pub(super) fn since(file: &File<'_>, first: usize) -> Result<Self, PdfError> {
        let rest = file.rest.as_ref().map(|rest| format!("bytes {}-{}", rest.start, rest.end));
        let mut changes = Self { steps: Vec::new(), rest };
        if first >= file.last() {
            return Ok(changes);
        }
        let mut references = References::of(file, first)?;
        let all = file.revisions.iter().flat_map(|revision| revision.entries.values());
        let containers: HashSet<u32> = all
            .filter_map(|entry| match entry {
                Entry::In { container, .. } => Some(*container),
                _ => None,
            })
            .collect();
        for new in first + 1..=file.last() {
            let mut comparison = Comparison {
                file,
                old: new - 1,
                new,
                references: &references,
                containers: &containers,
                overridden: BTreeSet::new(),
                widgets: BTreeSet::new(),
                step: Step { proves_only: true, signed: Vec::new() },
            };
            let step = match comparison.step()? {
                None => Ok(comparison.step),
                Some(refused) => Err(refused),
            };
            changes.steps.push((new, step));
            references.replace(file, new)?;
        }
        Ok(changes)
    }

    /// The link of coverage for one signature.
    pub(super) fn after(&self, signature: &Signature) -> LinkVerdict {
        let failed = |error: &PdfError, about: String| {
            LinkVerdict::failed(error.link(), error.code()).about(about)
        };
        for (revision, step) in self.steps.iter().filter(|step| step.0 > signature.revision) {
            match step {
                Err(refused) => return failed(&refused.error, refused.about.clone()),
                Ok(step) if !permits(&signature.permissions, step) => {
                    let about = format!("revision {}", revision + 1);
                    return failed(&PdfError::ChangeNotPermitted, about);
                }
                Ok(_) => {}
            }
        }
        match &self.rest {
            Some(rest) => failed(&PdfError::BytesAdded, rest.clone()),
            None => LinkVerdict::ok(Link::Coverage),
        }
    }
}

fn permits(permissions: &Permissions, step: &Step) -> bool {
    let is_final = permissions.changes.is_some_and(|changes| changes <= 1);
    let is_locked = step.signed.iter().any(|name| permissions.locks(name));
    (step.proves_only || !is_final) && !is_locked
}

/// Who refers to whom in a revision: target and source.
struct References(BTreeSet<(u32, u32)>);

impl References {
    fn of(file: &File<'_>, revision: usize) -> Result<Self, PdfError> {
        let upto = file.revisions.get(..=revision).unwrap_or_default();
        let numbers: BTreeSet<u32> =
            upto.iter().flat_map(|revision| revision.entries.keys().copied()).collect();
        let mut references = Self(BTreeSet::new());
        for number in numbers {
            references.add(file, revision, number)?;
        }
        references.add_trailer(file, revision);
        Ok(references)
    }

    fn add(&mut self, file: &File<'_>, revision: usize, number: u32) -> Result<(), PdfError> {
        if let Some(found) = file.find(revision, number)? {
            let source = source(file, number, &found);
            found.object.each_reference(&mut |target| {
                self.0.insert((target.number, source));
            });
        }
        Ok(())
    }

    fn add_trailer(&mut self, file: &File<'_>, revision: usize) {
        let Some(revision) = file.revisions.get(revision) else { return };
        for key in ["Root", "Info"] {
            let target = revision.trailer.get(key).and_then(Object::reference);
            self.0.extend(target.map(|target| (target.number, TRAILER)));
        }
    }

    /// Goes on from the revision before `new`.
    fn replace(&mut self, file: &File<'_>, new: usize) -> Result<(), PdfError> {
        let Some(revision) = file.revisions.get(new) else { return Ok(()) };
        for number in revision.entries.keys() {
            if file.entry(new, *number) == file.entry(new - 1, *number) {
                continue;
            }
            if let Some(found) = file.find(new - 1, *number)? {
                let source = source(file, *number, &found);
                found.object.each_reference(&mut |target| {
                    self.0.remove(&(target.number, source));
                });
            }
            self.add(file, new, *number)?;
        }
        self.add_trailer(file, new);
        Ok(())
    }

    fn to(&self, target: u32) -> impl Iterator<Item = u32> {
        self.0.range((target, 0)..=(target, u32::MAX)).map(|(_, source)| *source)
    }

    /// Whether nobody but these refers to the object.
    fn only_from(&self, target: u32, sources: &[Option<u32>]) -> bool {
        self.to(target).all(|source| sources.contains(&Some(source)))
    }
}

/// A cross-reference stream is an object too, but refers as the trailer that it is.
fn source(file: &File<'_>, number: u32, found: &Found) -> u32 {
    let is_section = found.offset.is_some_and(|offset| file.sections.contains(&offset));
    if is_section { TRAILER } else { number }
}

struct Comparison<'f, 'a> {
    file: &'f File<'a>,
    old: usize,
    new: usize,
    references: &'f References,
    containers: &'f HashSet<u32>,
    /// Objects of the old revision that the new one replaces, and that no rule has allowed so far.
    overridden: BTreeSet<u32>,
    /// What shows the fields that the new revision adds.
    widgets: BTreeSet<u32>,
    step: Step,
}

/// `Ok(None)` goes on, `Ok(Some(_))` refuses.
type Checked = Result<Option<Refused>, PdfError>;

fn changed(about: impl Into<String>) -> Checked {
    Ok(Some(Refused { error: PdfError::ChangedAfterSigning, about: about.into() }))
}

/// Goes on with what follows unless the check refuses.
macro_rules! require {
    ($check:expr) => {
        if let Some(refused) = $check? {
            return Ok(Some(refused));
        }
    };
}

impl Comparison<'_, '_> {
    fn step(&mut self) -> Checked {
        require!(self.bytes_belong_to_objects());
        require!(self.entries());
        require!(self.trailer());
        let (root, old_catalog) = self.file.catalog(self.old)?;
        let (_, new_catalog) = self.file.catalog(self.new)?;
        const MAY_CHANGE: [&[u8]; 5] =
            [b"AcroForm", b"DSS", b"Extensions", b"Metadata", b"Version"];
        if let Some(key) = differing(&old_catalog, &new_catalog, &MAY_CHANGE) {
            return changed(format!("object {root} {key}"));
        }
        self.overridden.remove(&root);
        require!(self.metadata(root, &old_catalog, &new_catalog));
        self.security_store(root, &old_catalog)?;
        require!(self.form(root, &old_catalog, &new_catalog));
        require!(self.signed_fields());
        require!(self.pages());
        match self.overridden.first() {
            Some(number) => changed(format!("object {number}")),
            None => Ok(None),
        }
    }

    /// Every byte belongs to an object that the cross-references name, to them, or is white space.
    fn bytes_belong_to_objects(&self) -> Checked {
        let Some(revision) = self.file.revisions.get(self.new) else { return Ok(None) };
        // 7.5.5: programs leave out objects whose numbers are not below the size.
        let size = revision.trailer.get("Size").and_then(Object::size).unwrap_or(0);
        let last = revision.entries.keys().next_back().map_or(0, |number| *number as usize);
        if revision.is_hybrid || last >= size.max(1) {
            return changed("cross-references");
        }
        let mut named = BTreeSet::new();
        let mut reader = Reader::at(self.file.bytes, revision.start);
        loop {
            reader.skip_white();
            let at = reader.position();
            if at >= revision.section {
                break;
            }
            let foreign = |end: usize| {
                let about = format!("bytes {at}-{end}");
                Ok(Some(Refused { error: PdfError::BytesAdded, about }))
            };
            let Ok(object) = self.file.indirect(self.new, at, 0) else {
                return foreign(revision.section);
            };
            let entry = Entry::At { offset: at, generation: object.id.generation };
            if revision.entries.get(&object.id.number) != Some(&entry) {
                return foreign(object.end);
            }
            named.insert(object.id.number);
            reader = Reader::at(self.file.bytes, object.end);
        }
        // And the other way round: what they name stands in this revision.
        for (number, entry) in &revision.entries {
            let stands = match entry {
                Entry::At { offset, .. } => named.contains(number) || *offset == revision.section,
                _ => true,
            };
            if !stands && self.file.entry(self.old, *number) != Some(*entry) {
                return changed(format!("object {number}"));
            }
        }
        Ok(None)
    }

    /// Sorts the objects of the new revision into new ones and replaced ones.
    fn entries(&mut self) -> Checked {
        let Some(revision) = self.file.revisions.get(self.new) else { return Ok(None) };
        for (number, entry) in &revision.entries {
            let before = self.file.entry(self.old, *number);
            if before == Some(*entry) {
                continue;
            }
            let is_there = *entry != Entry::Free;
            let refused = match before {
                // It was referred to all along, and was nothing (7.3.10).
                None => is_there && self.references.to(*number).next().is_some(),
                Some(_) => !is_there || self.containers.contains(number),
            };
            if refused {
                return changed(format!("object {number}"));
            }
            if before.is_some() {
                self.overridden.insert(*number);
            }
        }
        Ok(None)
    }

    fn trailer(&mut self) -> Checked {
        let of = |revision: usize| self.file.revisions.get(revision).map(|it| &it.trailer);
        let (Some(old), Some(new)) = (of(self.old), of(self.new)) else { return Ok(None) };
        if let Some(key) = differing(old, new, &OF_EACH_TRAILER) {
            return changed(format!("trailer {key}"));
        }
        let info = |trailer: &Dictionary| Some(trailer.get("Info")?.reference()?.number);
        if let Some(number) = info(old)
            && info(new) == Some(number)
            && self.references.only_from(number, &[Some(TRAILER)])
        {
            self.overridden.remove(&number);
        }
        Ok(None)
    }

    fn metadata(&mut self, root: u32, old: &Dictionary, new: &Dictionary) -> Checked {
        let Some(number) = number_of(new, "Metadata") else {
            return if old.has("Metadata") { changed("metadata") } else { Ok(None) };
        };
        for revision in [self.old, self.new] {
            let Some(found) = self.file.find(revision, number)? else { continue };
            // It is XML and not something else besides, which an object would be shown as that it replaces.
            let dictionary = found.object.dictionary().filter(|it| it.is("Type", "Metadata"));
            let data = dictionary.zip(found.stream).map(|(it, data)| self.file.decode(it, data));
            if !data.transpose()?.is_some_and(|data| is_xml(&data)) {
                return changed(format!("object {number}"));
            }
        }
        if number_of(old, "Metadata") == Some(number)
            && self.references.only_from(number, &[Some(root)])
        {
            self.overridden.remove(&number);
        }
        Ok(None)
    }

    /// The document security store (ISO 32000-2, 12.8.4.3) shows nothing: its parts may change.
    fn security_store(&mut self, root: u32, old: &Dictionary) -> Result<(), PdfError> {
        let mut parts = vec![(old.get("DSS").cloned(), 0)];
        let mut numbers = BTreeSet::from([root]);
        while let Some((part, depth)) = parts.pop() {
            let Some(part) = part else { continue };
            if let Some(id) = part.reference() {
                let mut sources = self.references.to(id.number);
                if !sources.all(|source| numbers.contains(&source)) || !numbers.insert(id.number) {
                    continue;
                }
                self.overridden.remove(&id.number);
            }
            // The store, its lists and VRI, the entries of VRI, their lists.
            if depth < 4
                && let Object::Dictionary(dictionary) = self.file.resolve(self.old, &part)?
            {
                parts.extend(dictionary.values().map(|value| (Some(value.clone()), depth + 1)));
            }
        }
        Ok(())
    }

    fn form(&mut self, root: u32, old: &Dictionary, new: &Dictionary) -> Checked {
        let before = self.file.value(self.old, old, "AcroForm")?;
        let after = self.file.value(self.new, new, "AcroForm")?;
        let nothing = Dictionary::default();
        let before = before.dictionary().unwrap_or(&nothing);
        let after = after.dictionary().unwrap_or(&nothing);
        let mut may_change: Vec<&[u8]> = vec![b"Fields", b"SigFlags"];
        // What new fields are drawn with, where no field could have relied on it before.
        for (key, name) in [("DR", &b"DR"[..]), ("DA", b"DA")] {
            if !before.has(key) {
                may_change.push(name);
            }
        }
        if let Some(key) = differing(before, after, &may_change) {
            return changed(format!("form {key}"));
        }
        let form = number_of(old, "AcroForm");
        if let Some(number) = form
            && self.references.only_from(number, &[Some(root)])
        {
            self.overridden.remove(&number);
        }
        if let Some(number) = number_of(before, "Fields")
            && self.references.only_from(number, &[form.or(Some(root))])
        {
            self.overridden.remove(&number);
        }
        let old_fields = self.file.value(self.old, before, "Fields")?;
        let new_fields = self.file.value(self.new, after, "Fields")?;
        let Some(added) = added(&old_fields, &new_fields) else { return changed("form Fields") };
        for field in added {
            require!(self.new_field(field));
        }
        Ok(None)
    }

    /// A field that was not there: one for a signature, new with all its parts.
    fn new_field(&mut self, field: &Object) -> Checked {
        let refused = || changed("form Fields");
        let Some(id) = field.reference().filter(|id| self.is_new(id.number)) else {
            return refused();
        };
        let Object::Dictionary(dictionary) = self.file.resolve(self.new, field)? else {
            return refused();
        };
        if !dictionary.is("FT", "Sig") || dictionary.has("Parent") || !dictionary.has("T") {
            return refused();
        }
        let kids = self.file.value(self.new, &dictionary, "Kids")?;
        let kids = kids.array().unwrap_or_default();
        let mut shown = vec![(id.number, dictionary.clone())];
        for kid in kids {
            let new = kid.reference().filter(|kid| self.is_new(kid.number));
            let resolved = self.file.resolve(self.new, kid)?;
            match (new, resolved) {
                (Some(kid), Object::Dictionary(widget)) if !widget.has("T") => {
                    shown.push((kid.number, widget));
                }
                _ => return refused(),
            }
        }
        let may_show = match dictionary.get("V") {
            Some(value) => {
                if value.reference().is_none_or(|value| !self.is_new(value.number)) {
                    return refused();
                }
                !self.is_time_stamp(value)?
            }
            None => false,
        };
        self.step.proves_only &= dictionary.has("V") && !may_show;
        for (number, widget) in shown {
            let is_widget = widget.is("Subtype", "Widget") || !widget.has("Subtype");
            let other = widget.keys().any(|key| key != b"V" && !OF_NEW_FIELDS.contains(&key));
            if !is_widget || other || (!may_show && shows(&widget)) {
                return refused();
            }
            self.widgets.insert(number);
        }
        Ok(None)
    }

    /// Fields that were there unsigned and now have a signature.
    fn signed_fields(&mut self) -> Checked {
        let mut reader = FieldReader::default();
        if self.overridden.is_empty() {
            return Ok(None);
        }
        for field in reader.fields(self.file, self.old)? {
            let Field { number, name, value: None, widgets } = field else { continue };
            let parts: BTreeSet<u32> = widgets.into_iter().chain([number]).collect();
            if parts.is_disjoint(&self.overridden) {
                continue;
            }
            let now = self.file.find(self.new, number)?.map(|found| found.object);
            let value = now.as_ref().and_then(|now| now.dictionary()?.get("V"));
            let Some(value) = value
                .filter(|value| value.reference().is_some_and(|value| self.is_new(value.number)))
            else {
                continue;
            };
            let is_time_stamp = self.is_time_stamp(value)?;
            self.step.proves_only &= is_time_stamp;
            self.step.signed.push(name);
            for part in parts {
                let old = self.file.find(self.old, part)?.map(|found| found.object);
                let new = self.file.find(self.new, part)?.map(|found| found.object);
                if let (Some(Object::Dictionary(old)), Some(Object::Dictionary(new))) = (old, new)
                    && differing(&old, &new, &SET_BY_SIGNING).is_none()
                    && !(is_time_stamp && shows(&new) && old.get("AP") != new.get("AP"))
                {
                    self.overridden.remove(&part);
                }
            }
        }
        Ok(None)
    }

    /// Pages that got the widgets of new fields, and nothing else.
    fn pages(&mut self) -> Checked {
        for number in self.overridden.clone() {
            let old = self.file.find(self.old, number)?.map(|found| found.object);
            let new = self.file.find(self.new, number)?.map(|found| found.object);
            let fits = match (old, new) {
                (Some(Object::Dictionary(old)), Some(Object::Dictionary(new))) => {
                    old.is("Type", "Page")
                        && differing(&old, &new, &[b"Annots"]).is_none()
                        && self.are_widgets_added(
                            &self.file.value(self.old, &old, "Annots")?,
                            &self.file.value(self.new, &new, "Annots")?,
                        )
                }
                // The list of annotations, as an object of its own.
                (Some(old @ Object::Array(_)), Some(new)) => {
                    self.is_annotations_of_one_page(number)? && self.are_widgets_added(&old, &new)
                }
                _ => false,
            };
            if fits {
                self.overridden.remove(&number);
            }
        }
        Ok(None)
    }

    fn are_widgets_added(&self, old: &Object, new: &Object) -> bool {
        added(old, new).is_some_and(|added| {
            added.iter().all(|widget| {
                widget.reference().is_some_and(|widget| self.widgets.contains(&widget.number))
            })
        })
    }

    fn is_annotations_of_one_page(&self, number: u32) -> Result<bool, PdfError> {
        let mut sources = self.references.to(number);
        let (Some(source), None) = (sources.next(), sources.next()) else { return Ok(false) };
        let page = self.file.find(self.old, source)?.map(|found| found.object);
        let Some(Object::Dictionary(page)) = page else { return Ok(false) };
        let mut count = 0;
        Object::Dictionary(page.clone()).each_reference(&mut |id| {
            count += usize::from(id.number == number);
        });
        Ok(page.is("Type", "Page") && number_of(&page, "Annots") == Some(number) && count == 1)
    }

    /// Whether the value of a field does no more than prove a time: an authority stamps for everybody, so that
    /// nobody stands for what such a field shows.
    fn is_time_stamp(&self, value: &Object) -> Result<bool, PdfError> {
        let value = self.file.resolve(self.new, value)?;
        Ok(value.dictionary().is_some_and(|it| it.is("Type", "DocTimeStamp")))
    }

    fn is_new(&self, number: u32) -> bool {
        self.file.entry(self.old, number).is_none()
    }
}

/// The first key that differs and may not.
fn differing(old: &Dictionary, new: &Dictionary, may: &[&[u8]]) -> Option<String> {
    let mut keys = old.differing(new).filter(|key| !may.contains(key));
    keys.next().map(|key| String::from_utf8_lossy(key).chars().take(32).collect())
}

fn number_of(dictionary: &Dictionary, key: &str) -> Option<u32> {
    Some(dictionary.get(key)?.reference()?.number)
}

/// What `new` has after everything that `old` has.
fn added<'a>(old: &Object, new: &'a Object) -> Option<&'a [Object]> {
    let old = old.array().unwrap_or_default();
    new.array().unwrap_or_default().strip_prefix(old)
}

/// Well-formed, without a document type.
fn is_xml(data: &[u8]) -> bool {
    let mut reader = quick_xml::Reader::from_reader(data);
    loop {
        match reader.read_event() {
            Ok(Event::Eof) => return true,
            Ok(Event::DocType(_)) | Err(_) => return false,
            Ok(Event::Start(it) | Event::Empty(it))
                if it.attributes().with_checks(false).any(|it| it.is_err()) =>
            {
                return false;
            }
            Ok(_) => {}
        }
    }
}

/// Whether a widget has a face or colours, and a rectangle with height and width.
fn shows(widget: &Dictionary) -> bool {
    let rectangle = widget.get("Rect").and_then(Object::array).unwrap_or_default();
    let is_flat = matches!(rectangle, [left, bottom, right, top] if left == right || bottom == top);
    !is_flat && (widget.has("AP") || widget.has("MK"))
}
