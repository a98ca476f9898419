//! What a file is, by its content: PDF, OFD, JPEG or PNG, whole, and nothing else at the same time.
//!
//! A file that two programs read as two things, one that ends too early, and an archive that unpacks to more than it
//! should are refused; so is a name that says something else than the content. Only the outline of a file is read:
//! whether it can be shown is for whoever opens it.
//!
//! Sources: ISO 32000-1 7.5 (PDF), GB/T 33190-2016 6 and 7 (OFD), PNG 3rd edition 5 (chunks), ITU-T T.81 Annex B
//! (JPEG), APPNOTE.TXT 4.3 (ZIP).

use std::{
    collections::HashSet,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
};

/// A type of file that is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// PDF.
    Pdf,
    /// OFD 版式文档.
    Ofd,
    /// JPEG.
    Jpeg,
    /// PNG.
    Png,
}

impl FileKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Pdf, Self::Ofd, Self::Jpeg, Self::Png];

    /// Its media type.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Pdf => "application/pdf",
            Self::Ofd => "application/ofd",
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
        }
    }

    /// How names of such files end.
    #[must_use]
    pub fn extensions(self) -> &'static [&'static str] {
        match self {
            Self::Pdf => &["pdf"],
            Self::Ofd => &["ofd"],
            Self::Jpeg => &["jpg", "jpeg"],
            Self::Png => &["png"],
        }
    }

    fn fits(self, name: &str) -> bool {
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
        self.extensions().iter().any(|known| known.eq_ignore_ascii_case(extension))
    }
}

/// Why a file's content is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SniffError {
    /// Something else.
    #[error("the file is none of PDF, OFD, JPEG and PNG")]
    Type,
    /// The name says something else.
    #[error(
        "the file's name does not end as its content asks for: .pdf, .ofd, .jpg, .jpeg or .png"
    )]
    Extension,
    /// The end is missing, or what should be there is not.
    #[error("the file is damaged or ends too early: make or scan it again")]
    Truncated,
    /// Two things at once.
    #[error("the file is of two types at the same time: save it again with a program for its type")]
    TwoTypes,
    /// An archive that is dangerous to unpack.
    #[error("the OFD file's archive is not acceptable: names, sizes or encryption of its parts")]
    Archive,
}

impl SniffError {
    /// Stable code: listed in `docs/formats/errors.md`, never reworded.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Type => "file_type",
            Self::Extension => "file_extension",
            Self::Truncated => "file_truncated",
            Self::TwoTypes => "file_two_types",
            Self::Archive => "file_archive",
        }
    }
}

/// How far from the start a PDF reader looks for a PDF. Source: ISO 32000-1 Annex H, implementation note 13.
const PDF_WITHIN: usize = 1024;
/// How far from the end the end of a ZIP archive can be: 22 bytes and a comment.
const ZIP_WITHIN: u64 = 22 + 0xffff;
/// Most parts of an OFD file.
const MOST_PARTS: usize = 50_000;
/// Most bytes that an OFD file unpacks to.
const MOST_UNPACKED: u64 = 2 << 30;
/// Most bytes that an OFD file unpacks to for each of its own.
const MOST_RATIO: u64 = 200;

/// What the file is.
///
/// * `name`: the file's name, for its ending.
///
/// # Errors
/// The outer one if it cannot be read, the inner one if it is not acceptable.
pub fn sniff<F: Read + Seek>(mut file: F, name: &str) -> io::Result<Result<FileKind, SniffError>> {
    let head = head(&mut file)?;
    let kind = match head.as_slice() {
        [0xff, 0xd8, 0xff, ..] => FileKind::Jpeg,
        [b'%', b'P', b'D', b'F', b'-', ..] => FileKind::Pdf,
        [0x89, b'P', b'N', b'G', 13, 10, 26, 10, ..] => FileKind::Png,
        [b'P', b'K', 3, 4, ..] => FileKind::Ofd,
        _ => return Ok(Err(SniffError::Type)),
    };
    if kind != FileKind::Pdf && head.windows(5).any(|at| at == b"%PDF-") {
        return Ok(Err(SniffError::TwoTypes));
    }
    if kind != FileKind::Ofd && ends_as_archive(&mut file)? {
        return Ok(Err(SniffError::TwoTypes));
    }
    let whole = match kind {
        FileKind::Pdf => whole_pdf(&mut file, &head),
        FileKind::Png => whole_png(&mut file),
        FileKind::Jpeg => whole_jpeg(&mut file),
        FileKind::Ofd => whole_ofd(&mut file),
    };
    match whole {
        Ok(Ok(())) if kind.fits(name) => Ok(Ok(kind)),
        Ok(Ok(())) => Ok(Err(SniffError::Extension)),
        Ok(Err(error)) => Ok(Err(error)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Ok(Err(SniffError::Truncated))
        }
        Err(error) => Err(error),
    }
}

fn head(file: &mut (impl Read + Seek)) -> io::Result<Vec<u8>> {
    file.rewind()?;
    let mut head = Vec::new();
    file.take(PDF_WITHIN as u64).read_to_end(&mut head)?;
    Ok(head)
}

/// The last bytes, at most `most`.
fn tail(file: &mut (impl Read + Seek), most: u64) -> io::Result<Vec<u8>> {
    let size = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(size.saturating_sub(most)))?;
    let mut tail = Vec::new();
    file.take(most).read_to_end(&mut tail)?;
    Ok(tail)
}

/// Whether a program that reads ZIP archives from their end, as most do, finds one.
fn ends_as_archive(file: &mut (impl Read + Seek)) -> io::Result<bool> {
    let tail = tail(file, ZIP_WITHIN)?;
    let ends = |at: usize| {
        let comment = tail.get(at + 20..at + 22);
        let comment = comment.map(|length| usize::from(u16::from_le_bytes([length[0], length[1]])));
        // Some readers do not mind bytes after the comment.
        comment.is_some_and(|length| at + 22 + length <= tail.len())
    };
    let signature = |at: &usize| tail[*at..].starts_with(b"PK\x05\x06");
    // An archive within a PDF may end by chance near the end of it; it then says other things than the rest of it.
    Ok((0..tail.len()).filter(signature).any(|at| ends(at) && names_a_directory(&tail, at)))
}

/// Whether the end of the archive at `at` points to a directory that is right before it.
fn names_a_directory(tail: &[u8], at: usize) -> bool {
    let long = |from: usize| {
        let bytes = tail.get(from..from + 4)?;
        Some(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    };
    let Some(size) = long(at + 12).and_then(|size| usize::try_from(size).ok()) else {
        return false;
    };
    match at.checked_sub(size) {
        // The directory begins before what was read; nothing speaks against it.
        None => true,
        Some(_) if size == 0 => true,
        Some(start) => tail[start..].starts_with(b"PK\x01\x02"),
    }
}

/// ISO 32000-1 7.5.5: `startxref`, an offset and `%%EOF` at the end.
fn whole_pdf(file: &mut (impl Read + Seek), head: &[u8]) -> io::Result<Result<(), SniffError>> {
    let version = head.get(5..8).unwrap_or_default();
    if !matches!(version, [b'1' | b'2', b'.', digit] if digit.is_ascii_digit()) {
        return Ok(Err(SniffError::Type));
    }
    let tail = tail(file, 2048)?;
    let last = |wanted: &[u8]| tail.windows(wanted.len()).rposition(|at| at == wanted);
    let (Some(start), Some(end)) = (last(b"startxref"), last(b"%%EOF")) else {
        return Ok(Err(SniffError::Truncated));
    };
    let after = &tail[end + 5..];
    Ok(if start > end {
        Err(SniffError::Truncated)
    } else if after.iter().all(|byte| byte.is_ascii_whitespace() || *byte == 0) {
        Ok(())
    } else {
        Err(SniffError::TwoTypes)
    })
}

/// Chunks from IHDR to IEND, and nothing after.
fn whole_png(file: &mut (impl Read + Seek)) -> io::Result<Result<(), SniffError>> {
    let size = file.seek(SeekFrom::End(0))?;
    let mut at = 8;
    let mut first = true;
    loop {
        file.seek(SeekFrom::Start(at))?;
        let mut chunk = [0; 8];
        file.read_exact(&mut chunk)?;
        let length = u64::from(u32::from_be_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]));
        let kind = &chunk[4..];
        if first != (kind == b"IHDR") || !kind.iter().all(u8::is_ascii_alphabetic) {
            return Ok(Err(SniffError::Truncated));
        }
        first = false;
        // Length, type, content, check value.
        at += 12 + length;
        if at > size {
            return Ok(Err(SniffError::Truncated));
        }
        if kind == b"IEND" {
            return Ok(if at == size { Ok(()) } else { Err(SniffError::TwoTypes) });
        }
    }
}

/// Segments up to the end of the image. Cameras put further images and notes of their own behind it; these may stay, if
/// no other program would take them for its own.
fn whole_jpeg(file: &mut (impl Read + Seek)) -> io::Result<Result<(), SniffError>> {
    file.seek(SeekFrom::Start(2))?;
    let mut reader = BufReader::with_capacity(64 << 10, file);
    let mut scanned = false;
    loop {
        match next_marker(&mut reader, scanned)? {
            // The end.
            Some(0xd9) if scanned => break,
            // Without content: RST, TEM.
            Some(0x01 | 0xd0..=0xd7) => {}
            Some(marker @ (0xc0..=0xcf | 0xda..=0xfe)) => {
                let mut length = [0; 2];
                reader.read_exact(&mut length)?;
                let length = i64::from(u16::from_be_bytes(length));
                if length < 2 {
                    return Ok(Err(SniffError::Truncated));
                }
                reader.seek_relative(length - 2)?;
                scanned |= marker == 0xda;
            }
            _ => return Ok(Err(SniffError::Truncated)),
        }
    }
    let mut behind = Vec::new();
    reader.take(64 << 10).read_to_end(&mut behind)?;
    let foreign: [&[u8]; 6] =
        [b"%PDF-", b"PK\x03\x04", b"Rar!\x1a\x07", b"7z\xbc\xaf\x27\x1c", b"<html", b"<script"];
    let found =
        |magic: &&[u8]| behind.windows(magic.len()).any(|at| at.eq_ignore_ascii_case(magic));
    Ok(if foreign.iter().any(found) { Err(SniffError::TwoTypes) } else { Ok(()) })
}

/// The next marker. Before the image's data it must stand right here; within them it is looked for, and 0xff 0 is data.
fn next_marker(reader: &mut impl BufRead, scanned: bool) -> io::Result<Option<u8>> {
    loop {
        if scanned {
            skip_past(reader, 0xff)?;
        } else if byte(reader)? != 0xff {
            return Ok(None);
        }
        // Any number of 0xff may stand before a marker.
        let mut marker = byte(reader)?;
        while marker == 0xff {
            marker = byte(reader)?;
        }
        if marker != 0 || !scanned {
            return Ok(Some(marker));
        }
    }
}

fn byte(reader: &mut impl Read) -> io::Result<u8> {
    let mut byte = [0];
    reader.read_exact(&mut byte)?;
    Ok(byte[0])
}

fn skip_past(reader: &mut impl BufRead, wanted: u8) -> io::Result<()> {
    loop {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let found = buffer.iter().position(|byte| *byte == wanted);
        let used = found.map_or(buffer.len(), |at| at + 1);
        reader.consume(used);
        if found.is_some() {
            return Ok(());
        }
    }
}

/// An archive with an `OFD.xml` that says it is one, and nothing in it that is dangerous to unpack.
fn whole_ofd(file: &mut (impl Read + Seek)) -> io::Result<Result<(), SniffError>> {
    let size = file.seek(SeekFrom::End(0))?;
    if let Err(error) = plain_directory(file, size)? {
        return Ok(Err(error));
    }
    file.rewind()?;
    Ok(parts_of_ofd(file, size))
}

/// The end of the archive is the end of the file, and its directory is right before it and small: what follows reads
/// the whole directory into memory.
fn plain_directory(file: &mut (impl Read + Seek), size: u64) -> io::Result<Result<(), SniffError>> {
    let tail = tail(file, ZIP_WITHIN)?;
    let Some(at) = tail.windows(4).rposition(|at| at == b"PK\x05\x06") else {
        return Ok(Err(SniffError::Truncated));
    };
    let end = &tail[at..];
    let Some(fixed) = end.get(..22) else { return Ok(Err(SniffError::Truncated)) };
    let short = |from: usize| u64::from(u16::from_le_bytes([fixed[from], fixed[from + 1]]));
    let long = |from: usize| short(from) | short(from + 2) << 16;
    let (parts, directory, start) = (short(10), long(12), long(16));
    if end.len() as u64 != 22 + short(20) {
        return Ok(Err(SniffError::TwoTypes));
    }
    let end_at = size - end.len() as u64;
    let large = at >= 20 && &tail[at - 20..at - 16] == b"PK\x06\x07";
    if large || parts > MOST_PARTS as u64 || directory > 16 << 20 {
        return Ok(Err(SniffError::Archive));
    }
    Ok(if start + directory == end_at { Ok(()) } else { Err(SniffError::Truncated) })
}

fn parts_of_ofd(file: &mut (impl Read + Seek), size: u64) -> Result<(), SniffError> {
    let mut archive = zip::ZipArchive::new(file).map_err(|_| SniffError::Truncated)?;
    let mut names = HashSet::new();
    let (mut packed, mut unpacked) = (0_u64, 0_u64);
    for index in 0..archive.len() {
        let part = archive.by_index_raw(index).map_err(|_| SniffError::Archive)?;
        let name = std::str::from_utf8(part.name_raw()).map_err(|_| SniffError::Archive)?;
        if part.encrypted() || part.is_symlink() || !is_plain(name) {
            return Err(SniffError::Archive);
        }
        let folded = name.to_lowercase();
        let of_another_type =
            ["[content_types].xml", "meta-inf/manifest.mf", "androidmanifest.xml", "mimetype"];
        if of_another_type.contains(&folded.as_str()) {
            return Err(SniffError::TwoTypes);
        }
        if !names.insert(folded) {
            return Err(SniffError::Archive);
        }
        packed = packed.saturating_add(part.compressed_size());
        unpacked = unpacked.saturating_add(part.size());
    }
    // Parts that share their bytes: each byte would unpack many times.
    let overlapping = packed > size;
    if overlapping || unpacked > MOST_UNPACKED || unpacked / MOST_RATIO > size {
        return Err(SniffError::Archive);
    }
    let Some(index) = archive.index_for_name("OFD.xml") else { return Err(SniffError::Type) };
    let part = archive.by_index(index).map_err(|_| SniffError::Archive)?;
    let mut text = String::new();
    // The size that the archive names need not be true.
    part.take(1 << 20).read_to_string(&mut text).map_err(|_| SniffError::Truncated)?;
    if text.contains("http://www.ofdspec.org") && root_of(&text) == Some("OFD") {
        Ok(())
    } else {
        Err(SniffError::Type)
    }
}

/// A relative path downwards, in characters that can be shown.
fn is_plain(name: &str) -> bool {
    let path = name.strip_suffix('/').unwrap_or(name);
    name.len() <= 500
        && !name.chars().any(|character| character.is_control() || character == '\\')
        && path.split('/').all(|step| !matches!(step, "" | "." | ".."))
        && !path.split('/').next().is_some_and(|first| first.contains(':'))
}

/// The local name of an XML document's first element.
fn root_of(text: &str) -> Option<&str> {
    let start = text.match_indices('<').map(|(at, _)| &text[at + 1..]);
    let root = start.into_iter().find(|after| !after.starts_with(['?', '!']))?;
    let name = root.split(|c: char| c.is_whitespace() || c == '>' || c == '/').next()?;
    Some(name.rsplit_once(':').map_or(name, |(_, local)| local))
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use super::*;

    const PDF: &[u8] = b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\nstartxref\n9\n%%EOF\n";
    const OFD_XML: &[u8] = br#"<?xml version="1.0" encoding="UTF-8"?>
        <ofd:OFD xmlns:ofd="http://www.ofdspec.org/2016" DocType="OFD" Version="1.0"/>"#;

    fn png() -> Vec<u8> {
        let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
        for (kind, content) in [(b"IHDR", &[0; 13][..]), (b"IDAT", &[1; 30]), (b"IEND", &[])] {
            png.extend(u32::try_from(content.len()).unwrap().to_be_bytes());
            png.extend(kind);
            png.extend(content);
            png.extend([0; 4]);
        }
        png
    }

    fn jpeg() -> Vec<u8> {
        let mut jpeg = vec![0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 1, 0xff, 0xda, 0, 4, 0, 0];
        jpeg.extend([7, 0xff, 0, 9, 0xff, 0xd0, 5, 0xff, 0xd9]);
        jpeg
    }

    fn archive(parts: &[(&str, &[u8])]) -> Vec<u8> {
        let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, content) in parts {
            archive.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
            archive.write_all(content).unwrap();
        }
        archive.finish().unwrap().into_inner()
    }

    fn ofd() -> Vec<u8> {
        archive(&[("OFD.xml", OFD_XML), ("Doc_0/Document.xml", b"<x/>")])
    }

    fn said(content: &[u8], name: &str) -> Result<FileKind, SniffError> {
        sniff(Cursor::new(content), name).unwrap()
    }

    #[test]
    fn whole_files_are_what_their_content_says() {
        assert_eq!(said(PDF, "图.pdf"), Ok(FileKind::Pdf));
        assert_eq!(said(&png(), "图.PNG"), Ok(FileKind::Png));
        assert_eq!(said(&jpeg(), "图.jpeg"), Ok(FileKind::Jpeg));
        assert_eq!(said(&ofd(), "图.1.ofd"), Ok(FileKind::Ofd));
    }

    #[test]
    fn a_name_that_says_something_else_is_refused() {
        for name in ["图.png", "图.pdf.exe", "图", "pdf", "图.pdf "] {
            assert_eq!(said(PDF, name), Err(SniffError::Extension), "{name}");
        }
    }

    #[test]
    fn other_types_are_refused_whatever_their_name() {
        let docx = archive(&[("word/document.xml", b"<x/>")]);
        let other_xml = archive(&[("OFD.xml", b"<html/>")]);
        let others: [&[u8]; 8] = [
            b"",
            b"x",
            b"<html><script>alert(1)</script>",
            b"MZ\x90\0",
            b"GIF89a",
            b"%PDF-x.y %%EOF",
            &docx,
            &other_xml,
        ];
        for content in others {
            assert_eq!(said(content, "图.pdf"), Err(SniffError::Type));
        }
    }

    #[test]
    fn a_file_cut_off_anywhere_is_refused() {
        for (content, name) in
            [(PDF.to_vec(), "a.pdf"), (png(), "a.png"), (jpeg(), "a.jpg"), (ofd(), "a.ofd")]
        {
            // A line end after the last mark of a PDF may be missing.
            for length in 0..content.len() - 1 {
                assert!(said(&content[..length], name).is_err(), "{name} of {length} bytes");
            }
        }
    }

    #[test]
    fn a_file_of_two_types_is_refused() {
        let joined = |one: &[u8], other: &[u8]| [one, other].concat();
        let with_comment = |comment: &[u8]| {
            let mut jpeg = vec![0xff, 0xd8, 0xff, 0xfe];
            jpeg.extend(u16::try_from(comment.len() + 2).unwrap().to_be_bytes());
            jpeg.extend(comment);
            [jpeg, self::jpeg()[2..].to_vec()].concat()
        };
        let ofd_and_office = archive(&[("OFD.xml", OFD_XML), ("[Content_Types].xml", b"x")]);
        for (content, name) in [
            (joined(PDF, &ofd()), "a.pdf"),
            (joined(PDF, b"<html>"), "a.pdf"),
            (joined(&png(), b"<html>"), "a.png"),
            (joined(&png(), &ofd()), "a.png"),
            (joined(&jpeg(), &ofd()), "a.jpg"),
            (joined(&jpeg(), PDF), "a.jpg"),
            (joined(&jpeg(), b"<HTML><body>"), "a.jpg"),
            (with_comment(b"%PDF-1.4"), "a.jpg"),
            (joined(&ofd(), b"trailing"), "a.ofd"),
            (ofd_and_office, "a.ofd"),
        ] {
            assert_eq!(said(&content, name), Err(SniffError::TwoTypes), "{name}");
        }
    }

    #[test]
    fn what_cameras_put_behind_a_photograph_may_stay() {
        let second = [jpeg(), jpeg()].concat();
        assert_eq!(said(&second, "a.jpg"), Ok(FileKind::Jpeg));
        let moving = [jpeg(), b"\0\0\0\x18ftypmp42".to_vec()].concat();
        assert_eq!(said(&moving, "a.jpg"), Ok(FileKind::Jpeg));
    }

    #[test]
    fn an_archive_that_is_dangerous_to_unpack_is_refused() {
        for name in ["../a", "/a", "a/../../b", "a\\b", "C:/a", "a//b", "a\u{1}", "ofd.XML"] {
            let archive = archive(&[("OFD.xml", OFD_XML), (name, b"x")]);
            assert_eq!(said(&archive, "a.ofd"), Err(SniffError::Archive), "{name}");
        }
        let bomb = archive(&[("OFD.xml", OFD_XML), ("a", &vec![0; 8 << 20])]);
        assert_eq!(said(&bomb, "a.ofd"), Err(SniffError::Archive), "{} bytes", bomb.len());
    }
}
