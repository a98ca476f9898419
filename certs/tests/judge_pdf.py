"""Makes signed PDF documents with pyHanko, and says what pyHanko holds of them.

    python judge_pdf.py make FOLDER     the documents, from keys and certificates in FOLDER
    python judge_pdf.py judge FOLDER    a line of JSON for each *.pdf there

FOLDER has root.pem, and NAME.pem with NAME.key for p256, p384, rsa and tsa; tsa.cnf is for `openssl ts`.
"""

import json
import logging
import os
import subprocess
import sys
import warnings
from io import BytesIO

from asn1crypto import algos, keys, pem, tsp, x509
from pyhanko.pdf_utils import generic, writer
from pyhanko.pdf_utils.generic import pdf_name, pdf_string
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign import fields, signers
from pyhanko.sign.diff_analysis import ModificationLevel
from pyhanko.sign.fields import FieldMDPAction, FieldMDPSpec, MDPPerm, SigFieldSpec, SigSeedSubFilter
from pyhanko.sign.timestamps import TimeStamper
from pyhanko.sign.validation import validate_pdf_signature, validate_pdf_timestamp
from pyhanko.sign.validation.status import SignatureCoverageLevel
from pyhanko.stamp import TextStampStyle
from pyhanko_certvalidator import ValidationContext
from pyhanko_certvalidator.registry import SimpleCertificateStore

# pyHanko does not sign what a certifying signature forbids; here it must.
signers.PdfSigner._enforce_certification_constraints = lambda *_: None

warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)

CADES = SigSeedSubFilter.PADES
PKCS7 = SigSeedSubFilter.ADOBE_PKCS7_DETACHED

# With a salt as long as the digest, which everybody verifies.
PSS = algos.SignedDigestAlgorithm({"algorithm": "rsassa_pss", "parameters": algos.RSASSAPSSParams({
    "hash_algorithm": {"algorithm": "sha256"}, "salt_length": 32,
    "mask_gen_algorithm": {"algorithm": "mgf1", "parameters": {"algorithm": "sha256"}}})})


def der(path):
    with open(path, "rb") as file:
        return pem.unarmor(file.read())[2]


def certificate(path):
    return x509.Certificate.load(der(path))


class OpensslTimeStamper(TimeStamper):
    """Asks `openssl ts`, which signs as NAME.cnf says."""

    def __init__(self, folder, name="tsa"):
        super().__init__()
        self.folder = folder
        self.settings = name + ".cnf"

    async def async_request_tsa_response(self, req):
        with open(os.path.join(self.folder, "query.tsq"), "wb") as file:
            file.write(req.dump())
        line = ["openssl", "ts", "-reply", "-config", self.settings, "-queryfile", "query.tsq"]
        reply = subprocess.run(line, cwd=self.folder, check=True, capture_output=True).stdout
        return tsp.TimeStampResp.load(reply)


class Desk:
    def __init__(self, folder):
        self.folder = folder
        self.root = certificate(self.path("root.pem"))
        self.time_stamper = OpensslTimeStamper(folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, data):
        with open(self.path(name + ".pdf"), "wb") as file:
            file.write(data)
        return data

    def signer(self, name, **options):
        registry = SimpleCertificateStore()
        registry.register(self.root)
        key = keys.PrivateKeyInfo.load(der(self.path(name + ".key")))
        return signers.SimpleSigner(certificate(self.path(name + ".pem")), key, registry, **options)

    def sign(self, data, signer="p256", field="Signature1", form=CADES, stamp=False, box=None, style=None,
             options=None, **metadata):
        out = IncrementalPdfFileWriter(BytesIO(data))
        time_stamper = stamp if isinstance(stamp, TimeStamper) else self.time_stamper if stamp else None
        metadata = signers.PdfSignatureMetadata(
            field_name=field, subfilter=form, md_algorithm=metadata.pop("hash", "sha256"), **metadata)
        pdf_signer = signers.PdfSigner(
            metadata, signer=self.signer(signer, **(options or {})),
            timestamper=time_stamper, stamp_style=style,
            new_field_spec=SigFieldSpec(field, box=box))
        return pdf_signer.sign_pdf(out).getvalue()

    def time_stamp(self, data):
        out = IncrementalPdfFileWriter(BytesIO(data))
        return signers.PdfTimeStamper(self.time_stamper).timestamp_pdf(
            out, "sha256", validation_context=self.context()).getvalue()

    def context(self):
        return ValidationContext(trust_roots=[self.root], allow_fetching=False)


# ---- documents to sign --------------------------------------------------------------------------


def page(out, text):
    font = out.add_object(generic.DictionaryObject({
        pdf_name("/Type"): pdf_name("/Font"), pdf_name("/Subtype"): pdf_name("/Type1"),
        pdf_name("/BaseFont"): pdf_name("/Helvetica")}))
    stream = generic.StreamObject(stream_data=f"BT /F1 18 Tf 40 700 Td ({text}) Tj ET".encode())
    return writer.PageObject(
        contents=out.add_object(stream), media_box=(0, 0, 595, 842),
        resources=generic.DictionaryObject({
            pdf_name("/Font"): generic.DictionaryObject({pdf_name("/F1"): font})}))


def document(stream_xrefs, extra=None):
    out = writer.PdfFileWriter(stream_xrefs=stream_xrefs)
    out.insert_page(page(out, "Business licence"))
    out.insert_page(page(out, "Second page"))
    if extra:
        extra(out)
    data = BytesIO()
    out.write(data)
    return data.getvalue()


def with_text_field(out):
    """A form with a text to be filled in, and a form font that is used nowhere yet."""
    field = generic.DictionaryObject({
        pdf_name("/FT"): pdf_name("/Tx"), pdf_name("/T"): pdf_string("Remark"),
        pdf_name("/Type"): pdf_name("/Annot"), pdf_name("/Subtype"): pdf_name("/Widget"),
        pdf_name("/Rect"): generic.ArrayObject(map(generic.NumberObject, (40, 600, 240, 620))),
        pdf_name("/DA"): pdf_string("/Helv 12 Tf 0 g"), pdf_name("/V"): pdf_string("none")})
    reference = out.add_object(field)
    out.root["/AcroForm"] = generic.DictionaryObject({
        pdf_name("/Fields"): generic.ArrayObject([reference])})
    first = out.root["/Pages"]["/Kids"][0].get_object()
    first["/Annots"] = generic.ArrayObject([reference])


def with_hidden_page(out):
    """Prepared to be attacked: a page that nothing shows."""
    hidden = page(out, "Hidden page")
    hidden["/Parent"] = out.root.raw_get("/Pages")
    out.root["/PieceInfo"] = generic.DictionaryObject({pdf_name("/Hidden"): out.add_object(hidden)})


def with_dangling(out):
    """Prepared to be attacked: contents that are not there yet."""
    first = out.root["/Pages"]["/Kids"][0].get_object()
    first["/Contents"] = generic.ArrayObject([
        first.raw_get("/Contents"), generic.IndirectObject(400, 0, out)])


def with_metadata(out):
    metadata = generic.StreamObject(
        {pdf_name("/Type"): pdf_name("/Metadata"), pdf_name("/Subtype"): pdf_name("/XML")},
        stream_data=b"<?xpacket begin='' ?><x/><?xpacket end='w'?>")
    out.root["/Metadata"] = out.add_object(metadata)
    info = generic.DictionaryObject({pdf_name("/Title"): pdf_string("Licence")})
    out.set_info(out.add_object(info))


def make(folder):
    desk = Desk(folder)
    plain, packed = document(False), document(True)
    form, shadow, dangling, described = (document(False, it) for it in (
        with_text_field, with_hidden_page, with_dangling, with_metadata))
    signed = desk.write("good-p256", desk.sign(plain))
    desk.write("good-p384", desk.sign(plain, "p384", hash="sha384"))
    desk.write("good-rsa", desk.sign(plain, "rsa"))
    desk.write("good-pss", desk.sign(plain, "rsa", options={"signature_mechanism": PSS}))
    # pyHanko's own choice: as long a salt as fits.
    desk.write("bad-pss-long-salt", desk.sign(plain, "rsa", options={"prefer_pss": True}))
    desk.write("good-rsa-sha512", desk.sign(plain, "rsa", hash="sha512"))
    desk.write("good-pkcs7", desk.sign(plain, form=PKCS7))
    packed_signed = desk.write("good-packed", desk.sign(packed))
    stamped = desk.write("good-stamped", desk.sign(plain, stamp=True))
    desk.write("good-visible", desk.sign(
        plain, box=(40, 40, 240, 100), style=TextStampStyle(stamp_text="Signed by %(signer)s")))
    desk.write("good-twice", desk.sign(signed, "p384", "Signature2"))
    desk.write("good-twice-packed", desk.sign(packed_signed, "rsa", "Signature2"))
    desk.write("good-twice-visible", desk.sign(signed, "rsa", "Signature2", box=(40, 40, 240, 100)))
    three = desk.sign(desk.sign(signed, "p384", "Signature2"), "rsa", "Signature3", stamp=True)
    desk.write("good-three", three)
    desk.write("good-archived", desk.time_stamp(signed))
    desk.write("good-archived-twice", desk.time_stamp(desk.time_stamp(stamped)))
    desk.write("good-archived-then-signed", desk.sign(desk.time_stamp(signed), "p384", "Signature2"))
    forms = desk.write("good-form", desk.sign(form))
    desk.write("good-described", desk.sign(described))
    prepared = IncrementalPdfFileWriter(BytesIO(plain))
    for name in ("Signature1", "Signature2"):
        fields.append_signature_field(prepared, SigFieldSpec(name, box=(40, 40, 240, 100)))
    two = BytesIO()
    prepared.write(two)
    half = desk.write("good-prepared-half", desk.sign(two.getvalue()))
    desk.write("good-prepared", desk.sign(half, "p384", "Signature2"))
    certified = desk.sign(plain, certify=True, docmdp_permissions=MDPPerm.NO_CHANGES)
    desk.write("good-certified", certified)
    desk.write("good-certified-archived", desk.time_stamp(certified))
    desk.write("bad-certified-then-signed", desk.sign(certified, "p384", "Signature2"))
    filling = desk.sign(plain, certify=True, docmdp_permissions=MDPPerm.FILL_FORMS)
    desk.write("good-certified-for-forms-then-signed", desk.sign(filling, "p384", "Signature2"))
    desk.write("bad-stranger", desk.sign(plain, "stranger"))
    desk.write("bad-one-of-two", desk.sign(signed, "stranger", "Signature2"))
    desk.write("bad-unsigned", plain)
    desk.write("other-time", desk.sign(plain, stamp=OpensslTimeStamper(folder, "other-tsa")))
    locking = IncrementalPdfFileWriter(BytesIO(plain))
    lock = FieldMDPSpec(FieldMDPAction.INCLUDE, ["Signature2"])
    for name, spec in (("Signature1", lock), ("Signature2", None)):
        fields.append_signature_field(locking, SigFieldSpec(name, box=(40, 40, 240, 100), field_mdp_spec=spec))
    lockable = BytesIO()
    locking.write(lockable)
    locked = desk.write("good-locked", desk.sign(lockable.getvalue()))
    desk.write("bad-locked-then-signed", desk.sign(locked, "p384", "Signature2"))
    desk.write("good-shadow-prepared", desk.sign(shadow))
    desk.write("good-dangling-prepared", desk.sign(dangling))
    changes(desk, signed, packed_signed, forms, desk.sign(shadow), desk.sign(dangling), desk.sign(described), half)


# ---- changes after signing ------------------------------------------------------------------------


def changes(desk, signed, packed, forms, shadow, dangling, described, half):
    def change(name, data, act, then_sign=False):
        out = IncrementalPdfFileWriter(BytesIO(data))
        act(out)
        done = BytesIO()
        out.write(done)
        desk.write("bad-" + name, done.getvalue())
        if then_sign:
            desk.write(f"bad-{name}-then-signed", desk.sign(done.getvalue(), "p384", "Later"))

    def first(out):
        return out.root["/Pages"]["/Kids"][0].get_object()

    def contents(out):
        reference = first(out).raw_get("/Contents")
        reference.get_object()._data = b"BT /F1 18 Tf 40 700 Td (Other licence) Tj ET"
        reference.get_object()._encoded_data = None
        out.mark_update(reference)

    def other_contents(out):
        first(out)["/Contents"] = out.add_object(generic.StreamObject(stream_data=b"% nothing"))
        out.update_container(first(out))

    def annotation(subtype):
        def act(out):
            it = generic.DictionaryObject({
                pdf_name("/Type"): pdf_name("/Annot"), pdf_name("/Subtype"): pdf_name(subtype),
                pdf_name("/Rect"): generic.ArrayObject(map(generic.NumberObject, (40, 690, 240, 720))),
                pdf_name("/Contents"): pdf_string("Other licence")})
            page = first(out)
            annotations = generic.ArrayObject(page.get("/Annots", []))
            annotations.append(out.add_object(it))
            page["/Annots"] = annotations
            out.update_container(page)
        return act

    def page_removed(out):
        pages = out.root["/Pages"]
        pages["/Kids"] = generic.ArrayObject(list(pages["/Kids"])[:1])
        pages["/Count"] = generic.NumberObject(1)
        out.update_container(pages)

    def page_added(out):
        out.insert_page(page(out, "Third page"))

    def other_tree(out):
        pages = generic.DictionaryObject(dict(out.root["/Pages"]))
        out.root["/Pages"] = out.add_object(pages)
        out.update_root()

    def catalog(key, value):
        def act(out):
            out.root[key] = value
            out.update_root()
        return act

    def script(out):
        out.root["/OpenAction"] = out.add_object(generic.DictionaryObject({
            pdf_name("/S"): pdf_name("/JavaScript"), pdf_name("/JS"): pdf_string("1")}))
        out.update_root()

    def font(out):
        font = first(out)["/Resources"]["/Font"].raw_get("/F1")
        font.get_object()["/BaseFont"] = pdf_name("/Symbol")
        out.mark_update(font)

    def filled(out):
        field = out.root["/AcroForm"]["/Fields"][0].get_object()
        field["/V"] = pdf_string("other")
        out.update_container(field)

    def appearances(out):
        form = out.root["/AcroForm"]
        form["/NeedAppearances"] = generic.BooleanObject(True)
        out.update_container(form)

    def field_moved(out):
        field = [it.get_object() for it in out.root["/AcroForm"]["/Fields"]][-1]
        field["/Rect"] = generic.ArrayObject(map(generic.NumberObject, (0, 0, 595, 842)))
        out.update_container(field)

    def field_shown(out):
        """The widget of the signature gets a face that covers the page."""
        field = [it.get_object() for it in out.root["/AcroForm"]["/Fields"]][-1]
        face = generic.StreamObject({
            pdf_name("/Type"): pdf_name("/XObject"), pdf_name("/Subtype"): pdf_name("/Form"),
            pdf_name("/BBox"): generic.ArrayObject(map(generic.NumberObject, (0, 0, 10, 10)))}, stream_data=b"")
        field["/AP"] = generic.DictionaryObject({pdf_name("/N"): out.add_object(face)})
        out.update_container(field)

    def field_removed(out):
        form = out.root["/AcroForm"]
        form["/Fields"] = generic.ArrayObject()
        out.update_container(form)

    def face_only(out):
        """A new signature field, unsigned, that covers the page with a face of its own."""
        fields.append_signature_field(out, SigFieldSpec("Sneaky", box=(0, 0, 595, 842)))
        field_shown(out)

    def hidden_shown(out):
        hidden = out.root["/PieceInfo"].raw_get("/Hidden")
        pages = out.root["/Pages"]
        pages["/Kids"] = generic.ArrayObject([hidden])
        out.update_container(pages)

    def defined(out):
        out.objects[(0, 400)] = generic.StreamObject(stream_data=b"")

    def signature_value(out):
        field = [it.get_object() for it in out.root["/AcroForm"]["/Fields"]][-1]
        value = field.raw_get("/V")
        value.get_object()["/Reason"] = pdf_string("other")
        out.mark_update(value)

    change("contents", signed, contents, then_sign=True)
    change("contents-packed", packed, contents, then_sign=True)
    change("other-contents", signed, other_contents, then_sign=True)
    change("annotation", signed, annotation("/FreeText"), then_sign=True)
    change("stamp", signed, annotation("/Stamp"))
    change("page-removed", signed, page_removed, then_sign=True)
    change("page-added", packed, page_added)
    change("other-tree", signed, other_tree)
    change("other-tree-packed", packed, other_tree, then_sign=True)
    change("script", signed, script)
    change("names", signed, catalog("/Names", generic.DictionaryObject()))
    change("layers", signed, catalog("/OCProperties", generic.DictionaryObject()))
    change("font", signed, font, then_sign=True)
    change("filled", forms, filled, then_sign=True)
    change("appearances", forms, appearances)
    change("field-moved", signed, field_moved)
    change("field-shown", signed, field_shown)
    change("field-shown-prepared", half, field_shown)
    change("field-removed", signed, field_removed)
    change("face-only", signed, face_only)
    change("hidden-shown", shadow, hidden_shown, then_sign=True)
    change("dangling", dangling, defined)
    change("signature-value", signed, signature_value)

    def harmless(name, data, act):
        out = IncrementalPdfFileWriter(BytesIO(data))
        act(out)
        done = BytesIO()
        out.write(done)
        desk.write("good-" + name, done.getvalue())

    def empty_field(out):
        fields.append_signature_field(out, SigFieldSpec("Later"))

    def store(out):
        certificates = generic.ArrayObject([
            out.add_object(generic.StreamObject(stream_data=der(desk.path("root.pem"))))])
        out.root["/DSS"] = out.add_object(generic.DictionaryObject({
            pdf_name("/Type"): pdf_name("/DSS"), pdf_name("/Certs"): out.add_object(certificates)}))
        out.update_root()

    harmless("nothing-changed", signed, lambda out: out.update_root())
    # pyHanko writes the time of the change to metadata and document information by itself.
    harmless("metadata-changed", described, lambda out: out.update_root())
    harmless("empty-field-added", signed, empty_field)
    harmless("store-added", signed, store)


# ---- pyHanko's verdict ----------------------------------------------------------------------------


def verdict(desk, path):
    with open(path, "rb") as file:
        reader = PdfFileReader(file)
        found = reader.embedded_signatures
        reasons = []
        for signature in found:
            if signature.sig_object_type == "/DocTimeStamp":
                status = validate_pdf_timestamp(signature, desk.context())
            else:
                status = validate_pdf_signature(signature, desk.context(), desk.context())
            level = status.modification_level
            permitted = status.docmdp_ok
            if permitted is None:  # a time-stamp: no more than approval signatures allow
                permitted = level is None or level.value <= ModificationLevel.FORM_FILLING.value
            if not (status.intact and status.valid):
                reasons.append("value")
            elif not status.trusted:
                reasons.append("trust")
            elif not permitted or status.coverage.value < SignatureCoverageLevel.ENTIRE_REVISION.value:
                reasons.append(f"changed {level} {status.coverage.name}")
            elif not getattr(status, "bottom_line", True):
                reasons.append("other")
        return {"accepted": bool(found) and not reasons, "signatures": len(found), "reasons": reasons}


def judge(folder):
    desk = Desk(folder)
    for name in sorted(os.listdir(folder)):
        if not name.endswith(".pdf"):
            continue
        try:
            found = verdict(desk, desk.path(name))
        except Exception as error:  # whatever it is: the file is not accepted
            found = {"accepted": False, "signatures": 0, "reasons": [f"{type(error).__name__}: {error}"[:200]]}
        print(json.dumps({"name": name[:-4], **found}))


if __name__ == "__main__":
    {"make": make, "judge": judge}[sys.argv[1]](sys.argv[2])
