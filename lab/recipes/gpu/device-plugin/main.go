// A stand-in for a GPU vendor's device plugin. There is no GPU behind it: it tells the kubelet of
// devices that do not exist, so that a machine without GPUs can show how GPUs are counted, given
// to pods, fall ill and go away. Scheduling by it is real, computing on it is not. It is part of
// the lab and of nothing else.
//
// It speaks the kubelet's device plugin API (v1beta1). Which devices are ill is what the control
// directory says, a file for each; the same program writes these:
//
//	device-plugin mark lab-gpu-2 unhealthy
//	device-plugin mark lab-gpu-2 healthy
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	api "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
)

const (
	prefix = "lab-gpu-"
	socket = "lab-gpu.sock"
	// What the devices' vendor tells its runtime; here it only shows what a pod was given.
	visible  = "NVIDIA_VISIBLE_DEVICES"
	standIn  = "MAAS_LAB_GPU_STAND_IN"
	register = 10 * time.Second
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		log.Fatal(err)
	}
}

func run(arguments []string) error {
	flags := flag.NewFlagSet("device-plugin", flag.ContinueOnError)
	resource := flags.String("resource", "nvidia.com/gpu", "the resource that the devices are")
	count := flags.Int("count", 4, "how many there are")
	plugins := flags.String("plugins", api.DevicePluginPath, "the kubelet's directory for plugins")
	control := flags.String("control", "/run/lab-gpu", "the directory that says what is ill")
	feature := flags.String("feature-file", "", "where node feature discovery reads that a GPU is here")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return mark(*control, *count, flags.Args())
	}
	stop, done := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer done()
	if *feature != "" {
		// The vendor's PCI identifier, as discovery on a machine with such a device would find it.
		if err := os.WriteFile(*feature, []byte("pci-10de.present=true\n"), 0o644); err != nil {
			return fmt.Errorf("feature file: %w", err)
		}
		defer os.Remove(*feature)
	}
	plugin := &plugin{resource: *resource, count: *count, control: *control}
	return plugin.serveUntil(stop, *plugins)
}

// mark writes or removes the file that says a device is ill.
func mark(control string, count int, words []string) error {
	if len(words) != 3 || words[0] != "mark" || (words[2] != "healthy" && words[2] != "unhealthy") {
		return errors.New("usage: device-plugin [flags] mark DEVICE healthy|unhealthy")
	}
	for number := range count {
		if name := deviceName(number); name == words[1] {
			path := filepath.Join(control, name)
			if words[2] == "unhealthy" {
				return os.WriteFile(path, nil, 0o644)
			}
			if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
			return nil
		}
	}
	return fmt.Errorf("there is no device %s: they are %s0 to %s", words[1], prefix, deviceName(count-1))
}

func deviceName(number int) string {
	return fmt.Sprintf("%s%d", prefix, number)
}

type plugin struct {
	api.UnimplementedDevicePluginServer
	resource string
	count    int
	control  string

	mutex    sync.Mutex
	watchers map[chan struct{}]bool
}

// serveUntil registers with the kubelet, and again whenever the kubelet starts anew: it forgets
// its plugins then and removes their sockets.
func (p *plugin) serveUntil(stop context.Context, plugins string) error {
	p.watchers = map[chan struct{}]bool{}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return err
	}
	defer watcher.Close()
	for _, directory := range []string{plugins, p.control} {
		if err := watcher.Add(directory); err != nil {
			return fmt.Errorf("%s: %w", directory, err)
		}
	}
	kubelet := filepath.Join(plugins, filepath.Base(api.KubeletSocket))
	server, err := p.start(plugins, kubelet)
	if err != nil {
		return err
	}
	defer func() { server.Stop() }()
	for {
		select {
		case <-stop.Done():
			return nil
		case err := <-watcher.Errors:
			return err
		case event := <-watcher.Events:
			switch {
			case event.Name == kubelet && event.Has(fsnotify.Create):
				log.Print("the kubelet started anew")
				server.Stop()
				if server, err = p.start(plugins, kubelet); err != nil {
					return err
				}
			case strings.HasPrefix(filepath.Base(event.Name), prefix):
				log.Printf("%s changed: ill are %v", event.Name, p.ill())
				p.tell()
			}
		}
	}
}

func (p *plugin) start(plugins, kubelet string) (*grpc.Server, error) {
	path := filepath.Join(plugins, socket)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	server := grpc.NewServer()
	api.RegisterDevicePluginServer(server, p)
	go func() { _ = server.Serve(listener) }()

	connection, err := grpc.NewClient(
		"unix://"+kubelet, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		server.Stop()
		return nil, err
	}
	defer connection.Close()
	patience, done := context.WithTimeout(context.Background(), register)
	defer done()
	_, err = api.NewRegistrationClient(connection).Register(patience, &api.RegisterRequest{
		Version: api.Version, Endpoint: socket, ResourceName: p.resource,
	}, grpc.WaitForReady(true))
	if err != nil {
		server.Stop()
		return nil, fmt.Errorf("the kubelet does not take the plugin: %w", err)
	}
	log.Printf("stand-in: %d of %s registered, none of them real", p.count, p.resource)
	return server, nil
}

// ill returns the devices that the control directory names.
func (p *plugin) ill() map[string]bool {
	found := map[string]bool{}
	for number := range p.count {
		if _, err := os.Stat(filepath.Join(p.control, deviceName(number))); err == nil {
			found[deviceName(number)] = true
		}
	}
	return found
}

func (p *plugin) devices() []*api.Device {
	ill := p.ill()
	found := make([]*api.Device, 0, p.count)
	for number := range p.count {
		health := api.Healthy
		if ill[deviceName(number)] {
			health = api.Unhealthy
		}
		found = append(found, &api.Device{ID: deviceName(number), Health: health})
	}
	return found
}

// tell wakes every open ListAndWatch.
func (p *plugin) tell() {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	for watcher := range p.watchers {
		select {
		case watcher <- struct{}{}:
		default: // it has not read the last one yet, and will read all at once
		}
	}
}

func (p *plugin) GetDevicePluginOptions(
	context.Context, *api.Empty,
) (*api.DevicePluginOptions, error) {
	return &api.DevicePluginOptions{}, nil
}

func (p *plugin) ListAndWatch(
	_ *api.Empty, stream grpc.ServerStreamingServer[api.ListAndWatchResponse],
) error {
	changed := make(chan struct{}, 1)
	p.mutex.Lock()
	p.watchers[changed] = true
	p.mutex.Unlock()
	defer func() {
		p.mutex.Lock()
		delete(p.watchers, changed)
		p.mutex.Unlock()
	}()
	for {
		if err := stream.Send(&api.ListAndWatchResponse{Devices: p.devices()}); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-stream.Context().Done():
			return nil
		}
	}
}

func (p *plugin) Allocate(_ context.Context, asked *api.AllocateRequest) (*api.AllocateResponse, error) {
	ill := p.ill()
	answer := &api.AllocateResponse{}
	for _, container := range asked.GetContainerRequests() {
		for _, name := range container.GetDevicesIds() {
			if ill[name] {
				return nil, fmt.Errorf("%s is ill", name)
			}
		}
		given := strings.Join(container.GetDevicesIds(), ",")
		log.Printf("given to a container: %s", given)
		answer.ContainerResponses = append(answer.ContainerResponses, &api.ContainerAllocateResponse{
			Envs: map[string]string{visible: given, standIn: "true"},
		})
	}
	return answer, nil
}
