"""Each kind of deliberate mistake in code for macOS is caught, by the compiler or by the checks.

Small sources are compiled and linked with the program and the flags of the build; the first test
shows that a right one passes everything, so that the others fail for their mistake alone.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from macos import cross, library

RIGHT = """
#include <Metal/Metal.h>
#include <MetalPerformanceShadersGraph/MetalPerformanceShadersGraph.h>
#include <string>

extern "C" __attribute__((visibility("default"))) unsigned long entry(const char* text) {
  @autoreleasepool {
    id<MTLDevice> device = MTLCreateSystemDefaultDevice();
    id<MTLBuffer> buffer = [device newBufferWithLength:256 options:MTLResourceStorageModeShared];
    if (@available(macOS 15, *)) {
      NSError* error = nil;
      MTLResidencySetDescriptor* wanted = [MTLResidencySetDescriptor new];
      id<MTLResidencySet> set = [device newResidencySetWithDescriptor:wanted error:&error];
      [set addAllocation:buffer];
    }
    NSMutableArray<NSNumber*>* shape = [NSMutableArray arrayWithCapacity:2];
    [shape addObject:@(buffer.length)];
    MPSGraphTensor* tensor = [[MPSGraph new] placeholderWithShape:shape
                                                         dataType:MPSDataTypeFloat32
                                                             name:@(text)];
    return tensor.shape.count + std::string(text).size();
  }
}
"""


@pytest.fixture(autouse=True)
def built() -> None:
    """All of these need the cross compiler."""
    cross.need_build()


def library_of(source: str, folder: Path, *more: str, oldest: str = cross.OLDEST) -> list[str]:
    """Compile and link, which must succeed, and list what the checks find."""
    process = cross.compile_object(source, folder)
    assert process.returncode == 0, process.stderr
    process = cross.link(folder, *more, oldest=oldest)
    assert process.returncode == 0, process.stderr
    return library.problems(folder / "library.dylib", {"_entry"})


def test_right_code_passes(tmp_path: Path) -> None:
    assert library_of(RIGHT, tmp_path) == []
    found = library.undefined(library.read(tmp_path / "library.dylib"))
    assert found["_OBJC_CLASS_$_MTLResidencySetDescriptor"][1], "weak, since it is of macOS 15"
    assert not found["_OBJC_CLASS_$_MPSGraph"][1]
    sent = library.selectors(library.read(tmp_path / "library.dylib"))
    assert "newBufferWithLength:options:" in sent


# What is replaced in RIGHT, by what, and a word of clang's complaint.
MISTAKES = {
    "selector": ("newBufferWithLength:256", "newBufferWithLenght:256", "no known instance method"),
    "no such method": ("[shape addObject:", "[shape addNumber:", "NSMutableArray"),
    "class method": ("[MPSGraph new]", "[MPSGraph newGraph]", "no known class method"),
    "property": ("buffer.length", "buffer.lenght", "not found"),
    "element type": ("@(buffer.length)]", "buffer]", "cannot initialize"),
    "argument type": ("dataType:MPSDataTypeFloat32", "dataType:@1", "cannot initialize"),
    "enum": ("MPSDataTypeFloat32", "MTLDataTypeFloat", "cannot initialize"),
    "class": ("placeholderWithShape:shape", "placeholderWithShape:@2", "cannot initialize"),
    "result": ("id<MTLBuffer> buffer", "id<MTLHeap> buffer", "cannot initialize"),
    "null": ("addAllocation:buffer", "addAllocation:nil", "non-null"),
    "unguarded call": ("macOS 15", "macOS 13", "is only available on macOS 15.0"),
    "selector by name": ("return", "(void)@selector(noSuchThing); return", "undeclared selector"),
    # libc++ has it since macOS 13.3.
    "newer C++ library": (
        "#include <string>",
        "#include <charconv>\nchar digits[9];\nauto end = std::to_chars(digits, digits + 9, 1.5);\n"
        "#include <string>",
        "unavailable",
    ),
    "warning": ("return tensor", "int unused; return tensor", "unused variable"),
}


@pytest.mark.parametrize("kind", MISTAKES)
def test_the_compiler_refuses(tmp_path: Path, kind: str) -> None:
    right, wrong, words = MISTAKES[kind]
    assert right in RIGHT
    process = cross.compile_object(RIGHT.replace(right, wrong), tmp_path)
    assert process.returncode != 0
    assert "error" in process.stderr and words in process.stderr, process.stderr


# Declared by the source itself, so that the compiler has nothing to object to.
OWN = """
#include <Foundation/Foundation.h>
{declaration}
extern "C" __attribute__((visibility("default"))) id entry(id argument) {{
  (void)argument;
  return {code};
}}
"""


@pytest.mark.parametrize(
    ("declaration", "code", "more", "noticed"),
    [
        pytest.param(
            "@protocol Mine\n- (id)noSuchThing;\n@end",
            "[(id<Mine>)argument noSuchThing]",
            (),
            "no class has a selector noSuchThing",
            id="selector",
        ),
        pytest.param(
            'extern "C" id MTLNoSuchFunction(id);',
            "MTLNoSuchFunction(argument)",
            ("-Wl,-undefined,dynamic_lookup",),
            "nobody provides MTLNoSuchFunction",
            id="symbol",
        ),
        pytest.param(
            "@interface MTLNoSuchClass : NSObject\n@end",
            "[MTLNoSuchClass new]",
            ("-Wl,-undefined,dynamic_lookup",),
            "nobody provides OBJC_CLASS_$_MTLNoSuchClass",
            id="class",
        ),
        pytest.param(
            "@interface MTLResidencySetDescriptor : NSObject\n@end",
            "[MTLResidencySetDescriptor new]",
            (),
            "_OBJC_CLASS_$_MTLResidencySetDescriptor is of macOS 15.0 but not weak",
            id="strong-symbol-of-a-newer-system",
        ),
    ],
)
def test_the_checks_find(
    tmp_path: Path, declaration: str, code: str, more: tuple[str, ...], noticed: str
) -> None:
    found = library_of(OWN.format(declaration=declaration, code=code), tmp_path, *more)
    assert len(found) == 1 and noticed in found[0], found


def test_an_own_method_is_no_mistake(tmp_path: Path) -> None:
    own = "@interface Own : NSObject\n- (id)noSuchThing;\n@end\n"
    own += "@implementation Own\n- (id)noSuchThing { return nil; }\n@end"
    assert library_of(OWN.format(declaration=own, code="[[Own new] noSuchThing]"), tmp_path) == []


def test_a_symbol_that_nobody_provides_does_not_link(tmp_path: Path) -> None:
    declaration = 'extern "C" id MTLNoSuchFunction(id);'
    source = OWN.format(declaration=declaration, code="MTLNoSuchFunction(argument)")
    assert cross.compile_object(source, tmp_path).returncode == 0
    process = cross.link(tmp_path)
    assert process.returncode != 0
    assert "undefined symbol" in process.stderr and "_MTLNoSuchFunction" in process.stderr


def test_a_library_for_another_system_is_found(tmp_path: Path) -> None:
    found = library_of(RIGHT, tmp_path, oldest="13.0")
    assert found == [f"it asks for macOS [13, 0, 0], not for {cross.OLDEST}"]


def test_a_library_for_another_processor_is_found(tmp_path: Path) -> None:
    (tmp_path / "source.c").write_text("int entry(void) { return 0; }\n", encoding="utf-8")
    command = [cross.zig(), "cc", "-target", "x86_64-macos.12.0", "-dynamiclib", "source.c"]
    process = cross.run(*command, "-o", "library.dylib", folder=tmp_path)
    assert process.returncode == 0, process.stderr
    found = library.problems(tmp_path / "library.dylib", {"_entry"})
    assert found == ["it is not for arm64"]


def test_a_broken_signature_is_found(tmp_path: Path) -> None:
    assert library_of(RIGHT, tmp_path) == []
    path = tmp_path / "library.dylib"
    data = bytearray(path.read_bytes())
    at = data.find(b"placeholderWithShape:")
    data[at] ^= 0x20  # the selector becomes PlaceholderWithShape:
    path.write_bytes(data)
    found = library.problems(path, {"_entry"})
    assert any("signature is wrong for page" in line for line in found), found
    assert any("PlaceholderWithShape:" in line for line in found), found


def test_a_missing_export_is_found(tmp_path: Path) -> None:
    library_of(RIGHT, tmp_path)
    found = library.problems(tmp_path / "library.dylib", {"_entry", "_InitPlugin"})
    assert found == ["it does not export _InitPlugin"]


STREAM = """
#include <sstream>
extern "C" __attribute__((visibility("default"))) unsigned long entry(int number) {
  std::ostringstream out;
  out << number;
  return out.str().size();
}
"""


def test_a_vtable_that_code_wrongly_takes_for_its_own_is_found(tmp_path: Path) -> None:
    """With hidden templates of the C++ library. The linker says nothing, but calls would crash."""
    for more in ((), ("-D_LIBCPP_DISABLE_VISIBILITY_ANNOTATIONS",)):
        flags = ("-fvisibility-inlines-hidden", *more)
        process = cross.compile_object(STREAM, tmp_path, *flags)
        assert process.returncode == 0, process.stderr
        process = cross.link(tmp_path)
        assert process.returncode == 0, process.stderr
        found = library.problems(tmp_path / "library.dylib", {"_entry"})
        assert len(found) == len(more), found
        assert all("takes addresses where nothing is" in line for line in found)
