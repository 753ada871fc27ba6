// The generate command writes the Go code of the .proto files beside them, and
// the reference pages in docs/, JSON Schemas and what flags say from their comments and rules, with the
// versions of the compiler and the plugin that go.mod pins.
//
//	go run ./proto/generate ROOT
package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/linker"
	"github.com/bufbuild/protocompile/protoutil"
	"google.golang.org/protobuf/cmd/protoc-gen-go/internal_gengo"
	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"

	// The imports of our files are taken from the programs' own registry.
	_ "buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	_ "google.golang.org/protobuf/types/known/durationpb"
	_ "google.golang.org/protobuf/types/known/emptypb"
	_ "google.golang.org/protobuf/types/known/structpb"
	_ "google.golang.org/protobuf/types/known/timestamppb"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: generate ROOT")
		os.Exit(2)
	}
	files, err := Generate(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
	for name, content := range files {
		if err := os.WriteFile(name, content, 0o644); err != nil { //nolint:gosec // source code is for everyone to read
			fmt.Fprintln(os.Stderr, "generate:", err)
			os.Exit(1)
		}
	}
}

// Generate compiles every .proto file below the repository's folder proto and
// returns the generated files by their path.
func Generate(repository string) (map[string][]byte, error) {
	root := filepath.Join(repository, "proto")
	names, err := protoFiles(root)
	if err != nil {
		return nil, err
	}
	compiler := protocompile.Compiler{
		Resolver: protocompile.CompositeResolver{
			&protocompile.SourceResolver{ImportPaths: []string{root}},
			protocompile.ResolverFunc(registered),
		},
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	compiled, err := compiler.Compile(context.Background(), names...)
	if err != nil {
		return nil, err
	}

	request := &pluginpb.CodeGeneratorRequest{
		FileToGenerate: names,
		Parameter:      proto.String("paths=source_relative"),
	}
	seen := map[string]bool{}
	for _, file := range compiled {
		addWithImports(request, file, seen)
	}
	plugin, err := protogen.Options{}.New(request)
	if err != nil {
		return nil, err
	}
	for _, file := range plugin.Files {
		if file.Generate {
			internal_gengo.GenerateFile(plugin, file)
		}
	}
	response := plugin.Response()
	if response.Error != nil {
		return nil, fmt.Errorf("%s", response.GetError())
	}
	out := map[string][]byte{}
	descriptors := map[string]protoreflect.FileDescriptor{}
	for _, file := range compiled {
		descriptors[file.Path()] = file
	}
	for _, p := range pages {
		out[filepath.Join(repository, p.file)] = writePage(p, descriptors)
	}
	for _, s := range schemas {
		text, err := writeSchema(s.title, descriptors[s.proto].Messages().ByName(s.message))
		if err != nil {
			return nil, err
		}
		out[filepath.Join(repository, s.file)] = text
	}
	if out[filepath.Join(repository, meaningsFile)], err = writeMeanings(descriptors["hookbastion/settings/v1/settings.proto"]); err != nil {
		return nil, err
	}
	for _, file := range response.GetFile() {
		out[filepath.Join(root, filepath.FromSlash(file.GetName()))] = []byte(file.GetContent())
	}
	return out, nil
}

// schemas are the JSON Schemas that are published.
var schemas = []struct {
	file, title, proto string
	message            protoreflect.Name
}{
	{"policy/schema.json", "Hookbastion policy", "hookbastion/policy/v1/policy.proto", "Policy"},
	{"policy/test-schema.json", "Hookbastion tests of policies", "hookbastion/test/v1/test.proto", "Tests"},
	{"policy/provider/schema.json", "Hookbastion provider", "hookbastion/policy/v1/scheme.proto", "Provider"},
}

func protoFiles(root string) ([]string, error) {
	var names []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".proto") {
			return err
		}
		rel, err := filepath.Rel(root, path)
		names = append(names, filepath.ToSlash(rel))
		return err
	})
	return names, err
}

func registered(path string) (protocompile.SearchResult, error) {
	file, err := protoregistry.GlobalFiles.FindFileByPath(path)
	if err != nil {
		return protocompile.SearchResult{}, err
	}
	return protocompile.SearchResult{Desc: file}, nil
}

// addWithImports adds a file after everything it imports, as plugins expect.
func addWithImports(request *pluginpb.CodeGeneratorRequest, file protoreflect.FileDescriptor, seen map[string]bool) {
	if seen[file.Path()] {
		return
	}
	seen[file.Path()] = true
	imports := file.Imports()
	for i := range imports.Len() {
		addWithImports(request, imports.Get(i).FileDescriptor, seen)
	}
	request.ProtoFile = append(request.ProtoFile, descriptor(file))
}

func descriptor(file protoreflect.FileDescriptor) *descriptorpb.FileDescriptorProto {
	if result, ok := file.(linker.Result); ok {
		return result.FileDescriptorProto()
	}
	return protoutil.ProtoFromFileDescriptor(file)
}
