//! What is said of files, in both languages.

use crate::pages::texts::texts;

texts! { FileTexts;
    lead: "您交过的文件都在这里。还没有过期的，办别的事可以直接再用，不用再交一次。", "All files that you handed in. What is not outdated is used again for other matters: you need not hand it in twice.";
    none: "您还没有交过文件", "You have not handed in a file yet";
    none_hint: "办事时需要交的文件，在办件页面上交。交过一次，就会出现在这里。", "Files are handed in on the page of a case. Once handed in they appear here.";
    spared_all: "这些文件一共为您省去 {n} 份材料。", "Together they spared you {n} copies.";
    only_newest: "只显示最近的 {n} 件。", "Only the newest {n} are shown.";
    column_file: "文件", "File";
    column_usable: "可再用至", "Usable until";
    column_spared: "省去", "Spared";
    column_used: "用在", "Used for";
    column_handed_in: "交来", "Handed in";
    column_checked: "检查", "Checked";
    usable_own_case: "只用于原办件", "its own case only";
    usable_over: "已过期", "outdated";
    spared: "{n} 份", "{n}";
    spared_none: "还没有再用过", "not used again yet";
    used_none: "还没有用过", "not used yet";
    by_you: "本人", "by you";
    by_window: "{node}代交", "at {node}";
    scanned: "已查毒", "scanned";
    scanned_by: "{by}，{at}", "{by}, {at}";
    not_scanned: "未查毒", "not scanned";
    size_kb: "{n} KB", "{n} KB";
    size_mb: "{n} MB", "{n} MB";
    other_kind: "材料", "File";

    say_no_file: "没有收到文件。请先选择文件，再点“交文件”。", "No file came. Choose one first, then hand it in.";
    say_type: "文件没有收下：它不是 PDF、OFD、JPEG 或 PNG。请另存为其中一种，或者拍照上传。", "The file was not taken: it is none of PDF, OFD, JPEG and PNG. Save it as one of these, or take a photograph.";
    say_extension: "文件没有收下：文件名的结尾和内容不一致。请改成 .pdf、.ofd、.jpg 或 .png 再交。", "The file was not taken: its name does not end as its content asks for. Rename it to .pdf, .ofd, .jpg or .png.";
    say_truncated: "文件没有收下：内容不完整或者已损坏。请重新扫描或重新保存后再交。", "The file was not taken: it is damaged or ends too early. Scan or save it again.";
    say_two_types: "文件没有收下：里面同时有两种类型的内容。请用对应的软件重新保存后再交。", "The file was not taken: it is of two types at once. Save it again with a program for its type.";
    say_archive: "文件没有收下：这个 OFD 文件的内部结构有问题或已加密。请重新生成后再交。", "The file was not taken: the inside of this OFD file is damaged or encrypted. Make it again.";
    say_infected: "文件没有收下：查毒时发现有害内容，文件没有保存。请检查您的电脑，换一个文件。", "The file was not taken: the antivirus program found something, and nothing was kept. Check your computer and choose another file.";
    say_name: "文件没有收下：文件名太长，或者含有不能显示的字符。请改名后再交。", "The file was not taken: its name is too long or cannot be shown. Rename it.";
    say_too_large: "文件没有收下：文件太大。请降低扫描分辨率，或者压缩后再交。", "The file was not taken: it is too large. Scan it with fewer dots an inch.";
    say_interrupted: "文件没有传完，网络中断了。请再交一次。", "The file did not come to its end: the connection broke. Hand it in again.";
    say_quota: "您有太多文件还没有传完。请先传完，或者明天再试。", "Too many of your files are on the way. Finish these first, or try again tomorrow.";
    say_scanner: "现在不能查毒，所以文件没有收下。不是您的问题，请稍后再交。", "Files cannot be scanned at the moment, so this one was not taken. It is no fault of yours: try again later.";
    say_busy: "同一个文件正在处理。请稍等片刻再试。", "The same file is being worked on. Try again in a moment.";
    say_other_kind: "这个文件不是这一项要的材料。请选择对应的文件。", "This file is of another kind than what is asked for. Choose the right one.";
    say_outdated: "这个文件已经过期，不能再用。请交一份新的。", "This file is outdated. Hand in a new one.";
    say_sent_back: "办理部门已退回这个文件。请交一份改好的。", "The department sent this file back. Hand in one that is put right.";
    say_disk: "现在存不下文件。不是您的问题，请稍后再试。", "Files cannot be stored at the moment. It is no fault of yours: try again later.";
}
